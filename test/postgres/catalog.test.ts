import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { newId } from '../../src/domain/ids.js';
import { EmbeddedEngine } from '../../src/engines/embedded.js';
import { findBinaries } from '../../src/engines/embedded-binaries.js';
import { removeFolder } from '../../src/engines/embedded-folder.js';
import { readTables } from '../../src/postgres/catalog.js';
import { clientConfig } from '../../src/postgres/connect.js';
import { request } from '../contracts/replica-engine.js';

const scratch = join(tmpdir(), `replichat-${newId()}-binaries`);
const available = await findBinaries(scratch).then(
  () => true,
  () => false,
);
await removeFolder(scratch);
if (!available) process.stderr.write('skipping the catalog: the embedded engine is not installed\n');

(available ? describe : describe.skip)('the tables', () => {
  const engine = new EmbeddedEngine({
    instance: newId(),
    memoryBytes: 256 * 2 ** 20,
    logger: pino({ level: 'silent' }),
  });
  let client: pg.Client;
  beforeAll(async () => {
    const server = await engine.provision(request());
    client = new pg.Client(clientConfig(server, server.admin));
    await client.connect();
    await client.query(`
      CREATE TABLE analysed AS SELECT generate_series(1, 1000) AS n;
      ANALYZE analysed;
      CREATE TABLE fresh (n int);
      CREATE VIEW seen AS SELECT n FROM analysed;
      CREATE TABLE parted (n int) PARTITION BY RANGE (n);
      CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
      INSERT INTO parted VALUES (1)`);
  });
  afterAll(async () => {
    await client?.end();
    await engine.close();
  });

  test('have a row estimate: 0 for a view and for what was never analysed', async () => {
    const tables = await readTables(client, null);
    expect(tables.map(({ name, kind, rowEstimate }) => [name, kind, rowEstimate])).toEqual([
      ['analysed', 'TABLE', 1000],
      ['fresh', 'TABLE', 0],
      ['parted', 'PARTITIONED_TABLE', 0],
      ['seen', 'VIEW', 0],
    ]);
  });

  test('are told the same way when functions and types of the catalog have namesakes in the search_path', async () => {
    const before = await readTables(client, null);
    expect(before.find(({ name }) => name === 'parted')?.sizeBytes).toBeGreaterThan(0);
    await client.query(`
      CREATE SCHEMA shadow;
      CREATE AGGREGATE shadow.sum(bigint) (sfunc = int8pl, stype = bigint, initcond = '1000000000');
      CREATE DOMAIN shadow.float8 AS pg_catalog.float8 CHECK (value < 0);
      CREATE DOMAIN shadow.text AS pg_catalog.text CHECK (value = 'shadow');
      SET search_path = shadow, pg_catalog, public`);
    try {
      expect((await readTables(client, 'e')).map(({ name }) => name)).toEqual(['analysed', 'fresh', 'parted', 'seen']);
      expect(await readTables(client, null)).toEqual(before);
    } finally {
      await client.query('RESET search_path; DROP SCHEMA shadow CASCADE');
    }
  });
});
