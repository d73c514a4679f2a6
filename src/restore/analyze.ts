import pg from 'pg';
import { messageOf } from '../domain/errors.js';
import { namesOf, quotedRelation, relationName } from './place.js';
import type { Report } from './report.js';
import type { Session } from './session.js';

/** From so many bytes on, a relation is analysed by a sample. */
export const LARGE_BYTES = 8 * 1024 * 1024;
/** Instead of 100 (default_statistics_target): a tenth of the rows is read, which takes a tenth of the time. */
const SAMPLE_TARGET = 10;
/** Relations that one statement takes together. */
export const MOST_ANALYZED_TOGETHER = 50;

/** All that has rows of its own; what is partitioned has none. */
const RELATIONS = `
SELECT n.nspname, c.relname, pg_relation_size(c.oid) >= ${LARGE_BYTES}
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')`;

/** The planner's statistics, which are no part of a dump. Resolves with what the server said when it refused. */
export async function analyze(session: Session, relations: readonly string[]): Promise<unknown> {
  return refusal(session, `ANALYZE ${relations.map(quotedRelation).join(', ')}`);
}

/**
 * Rough statistics of a large relation at once. All its columns are named: PostgreSQL regards it as not yet analysed
 * then (analyze.c, do_analyze_rel), and autovacuum does it in full later. Inside of the server, which knows how to write
 * the columns whatever the script's encoding.
 */
export async function sample(session: Session, relation: string): Promise<unknown> {
  const name = pg.escapeLiteral(quotedRelation(relation));
  return refusal(
    session,
    `DO $replichat$ BEGIN
      SET LOCAL default_statistics_target = ${SAMPLE_TARGET};
      EXECUTE (SELECT format('ANALYZE %s (%s)', ${name}, string_agg(quote_ident(attname), ', ')) FROM pg_attribute
        WHERE attrelid = ${name}::regclass AND attnum > 0 AND NOT attisdropped);
    END $replichat$`,
  );
}

/** What is not among `done`. An index's own function may fail here: a warning. */
export async function analyzeRest(session: Session, done: ReadonlySet<string>, report: Report): Promise<void> {
  await session.run(Buffer.from('RESET ALL'));
  await session.run(Buffer.from('RESET ROLE'));
  const small: string[] = [];
  for (const [schema, name, isLarge] of await session.rows(RELATIONS)) {
    const relation = relationName(schema as string, name as string);
    if (done.has(relation)) continue;
    if (isLarge !== 't' || (await sample(session, relation))) small.push(relation);
  }
  while (small.length > 0) {
    const together = small.splice(0, MOST_ANALYZED_TOGETHER);
    if (!(await analyze(session, together))) continue;
    for (const relation of together) {
      const error = await analyze(session, [relation]);
      if (!error) continue;
      const message = `the planner's statistics of a table could not be collected: ${messageOf(error)}`;
      report.warn({ code: 'ANALYZE_FAILED', message, object: namesOf(relation).join('.') });
    }
  }
}

function refusal(session: Session, statement: string): Promise<unknown> {
  return session.run(Buffer.from(statement)).then(
    () => undefined,
    (error) => error,
  );
}
