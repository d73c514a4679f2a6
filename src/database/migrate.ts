import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import pg from 'pg';
import type { Logger } from 'pino';
import { clientConfig } from './database.js';

/** Compiled or not, the code lies two folders below the root, and only src has the files. */
const MIGRATIONS = fileURLToPath(new URL('../../src/database/migrations', import.meta.url));

/** Brings the schema `replichat` up to date; servers that start at the same time do it one after the other. */
export async function migrate(url: string, logger: Logger): Promise<void> {
  // Another server's migration may take its time.
  const dbClient = new pg.Client({ ...clientConfig(url), query_timeout: 0 });
  // Its queries fail with it.
  dbClient.on('error', () => {});
  await dbClient.connect();
  try {
    const applied = await runner({
      dbClient,
      dir: MIGRATIONS,
      direction: 'up',
      schema: 'replichat',
      createSchema: true,
      migrationsTable: 'migration',
      advisoryLockMode: 'wait',
      logger: {
        debug: (text) => logger.debug(text),
        info: (text) => logger.debug(text),
        warn: (text) => logger.warn(text),
        error: (text) => logger.error(text),
      },
    });
    for (const { name } of applied) logger.info({ migration: name }, 'the schema of the database was migrated');
  } finally {
    await dbClient.end();
  }
}
