import pg from 'pg';
import { messageOf } from '../domain/errors.js';
import { namesOf } from './place.js';
import type { Report } from './report.js';
import type { Session } from './session.js';

/** All that has rows of its own; what is partitioned has none. */
const RELATIONS = `
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')`;

/** Relations that one statement takes together. */
export const MOST_ANALYZED_TOGETHER = 50;

/** The planner's statistics, which are no part of a dump. Resolves with what the server said when it refused. */
export async function analyze(session: Session, relations: readonly string[]): Promise<unknown> {
  const names = relations.map((relation) => namesOf(relation).map(pg.escapeIdentifier).join('.'));
  return session.run(Buffer.from(`ANALYZE ${names.join(', ')}`)).then(
    () => undefined,
    (error) => error,
  );
}

/** What is not among `done`. An index's own function may fail here: a warning. */
export async function analyzeRest(session: Session, done: ReadonlySet<string>, report: Report): Promise<void> {
  await session.run(Buffer.from('RESET ALL'));
  await session.run(Buffer.from('RESET ROLE'));
  const rows = await session.rows(RELATIONS);
  const rest = rows.map((names) => JSON.stringify(names)).filter((relation) => !done.has(relation));
  while (rest.length > 0) {
    const together = rest.splice(0, MOST_ANALYZED_TOGETHER);
    if (!(await analyze(session, together))) continue;
    for (const relation of together) {
      const error = await analyze(session, [relation]);
      if (!error) continue;
      const message = `the planner's statistics of a table could not be collected: ${messageOf(error)}`;
      report.warn({ code: 'ANALYZE_FAILED', message, object: namesOf(relation).join('.') });
    }
  }
}
