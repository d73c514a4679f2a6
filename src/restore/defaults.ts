import pg from 'pg';
import type { Session } from './session.js';

/** What settings a session has been given by the server, by name. */
export type Defaults = ReadonlyMap<string, string>;

/** Where a session has those from that a script may have made since: ALTER ROLE and ALTER DATABASE ... SET. */
const OF_DATABASE = new Set(['database', 'user', 'database user']);

/** Names no operator: the search path may lead to one of the script's. */
const SETTINGS = 'SELECT name, source, reset_val FROM pg_catalog.pg_settings';

/** Of a session that has been opened before the script's first statement. */
export async function defaultsOf(session: Session): Promise<Defaults> {
  const rows = await session.rows(SETTINGS);
  return new Map(rows.map(([name, , value]) => [name as string, value ?? '']));
}

/** A session that was opened since begins like it. */
export async function beginAs(defaults: Defaults, session: Session): Promise<void> {
  await session.run(Buffer.from('SET ROLE NONE'));
  const rows = await session.rows(SETTINGS);
  const settings = rows.flatMap(([name, source]) => {
    const value = OF_DATABASE.has(source as string) ? defaults.get(name as string) : undefined;
    if (value === undefined) return [];
    return [`pg_catalog.set_config(${pg.escapeLiteral(name as string)}, ${pg.escapeLiteral(value)}, false)`];
  });
  if (settings.length > 0) await session.run(Buffer.from(`SELECT ${settings.join(', ')}`));
}
