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
import { schemaText } from '../../src/postgres/schema-text.js';
import { request } from '../contracts/replica-engine.js';

const scratch = join(tmpdir(), `replichat-${newId()}-binaries`);
const available = await findBinaries(scratch).then(
  () => true,
  () => false,
);
await removeFolder(scratch);
if (!available) process.stderr.write('skipping the catalog: the embedded engine is not installed\n');

const KINDS = `
  CREATE SCHEMA kinds;
  CREATE TYPE kinds.mood AS ENUM ('sad', 'it''s ok');
  CREATE DOMAIN kinds.state AS kinds.mood;
  CREATE TABLE kinds.item (
    shop int, id bigint GENERATED ALWAYS AS IDENTITY, code varchar(20) UNIQUE DEFAULT 'x',
    twice int GENERATED ALWAYS AS (shop * 2) STORED, mood kinds.mood NOT NULL, moods kinds.mood[], state kinds.state,
    price numeric(8, 2), "user" text, PRIMARY KEY (id, shop));
  CREATE UNIQUE INDEX ON kinds.item (price, shop) INCLUDE (code);
  CREATE UNIQUE INDEX ON kinds.item (lower(code));
  CREATE UNIQUE INDEX ON kinds.item (twice) WHERE twice > 0;
  COMMENT ON TABLE kinds.item IS E'What is\\n for sale ';
  COMMENT ON COLUMN kinds.item.price IS 'in euros';
  CREATE TABLE kinds.sold (shop int, item bigint, CONSTRAINT sold_item FOREIGN KEY (item, shop) REFERENCES kinds.item (id, shop));
  CREATE TABLE kinds.part (at date) PARTITION BY RANGE (at);
  CREATE TABLE kinds.part_1 PARTITION OF kinds.part FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
  CREATE TABLE kinds.part_2 PARTITION OF kinds.part FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
  INSERT INTO kinds.part SELECT date '2020-12-22' + i FROM generate_series(0, 29) i;
  ANALYZE kinds.part_1, kinds.part_2;
  CREATE MATERIALIZED VIEW kinds.kept AS SELECT id FROM kinds.item;
  CREATE UNIQUE INDEX ON kinds.kept (id);
  COMMENT ON MATERIALIZED VIEW kinds.kept IS 'kept rows';
  CREATE FOREIGN DATA WRAPPER nowhere;
  CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
  CREATE FOREIGN TABLE kinds.far (a int NOT NULL) SERVER nowhere;`;

const TEXT = `CREATE FOREIGN TABLE kinds.far (
  a integer NOT NULL
);

-- What is for sale
CREATE TABLE kinds.item (
  shop integer,
  id bigint GENERATED AS IDENTITY,
  code character varying(20) DEFAULT 'x'::character varying,
  twice integer GENERATED ALWAYS AS ((shop * 2)) STORED,
  mood kinds.mood NOT NULL, -- 'sad' | 'it''s ok'
  moods kinds.mood[], -- 'sad' | 'it''s ok'
  state kinds.state, -- 'sad' | 'it''s ok'
  price numeric(8,2), -- in euros
  "user" text,
  PRIMARY KEY (id, shop),
  UNIQUE (code),
  UNIQUE (price, shop)
);

-- kept rows
CREATE MATERIALIZED VIEW kinds.kept (
  id bigint,
  UNIQUE (id)
);

-- about 30 rows
CREATE TABLE kinds.part (
  at date
) PARTITION BY RANGE (at);

CREATE TABLE kinds.sold (
  shop integer,
  item bigint,
  FOREIGN KEY (item, shop) REFERENCES kinds.item (id, shop)
);
`;

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

  describe('of every kind', () => {
    beforeAll(() => client.query(KINDS));
    afterAll(() => client.query('DROP SCHEMA kinds CASCADE; DROP FOREIGN DATA WRAPPER nowhere CASCADE'));

    const named = async (name: string) => (await readTables(client, null)).find((table) => table.name === name);

    test('are listed with their sizes, comments and estimates', async () => {
      const tables = await readTables(client, 'KINDS.');
      expect(tables.map(({ name, kind, rowEstimate, comment }) => [name, kind, rowEstimate, comment])).toEqual([
        ['far', 'FOREIGN_TABLE', 0, null],
        ['item', 'TABLE', 0, 'What is\n for sale '],
        ['kept', 'MATERIALIZED_VIEW', 0, 'kept rows'],
        ['part', 'PARTITIONED_TABLE', 30, null],
        ['sold', 'TABLE', 0, null],
      ]);
      expect((await named('part'))?.partitionKey).toBe('RANGE (at)');
    });

    test('have columns with what a query has to know of them', async () => {
      const item = await named('item');
      const column = (name: string) => item?.columns.find((one) => one.name === name);
      expect(item?.columns.map(({ name }) => name)).toEqual([
        'shop',
        'id',
        'code',
        'twice',
        'mood',
        'moods',
        'state',
        'price',
        'user',
      ]);
      expect(column('id')).toEqual({
        name: 'id',
        type: 'bigint',
        nullable: false,
        default: null,
        generated: false,
        identity: true,
        primaryKey: true,
        enumValues: null,
        comment: null,
      });
      expect(column('twice')).toMatchObject({ generated: true, default: '(shop * 2)' });
      expect(column('code')).toMatchObject({
        type: 'character varying(20)',
        default: "'x'::character varying",
        primaryKey: false,
      });
      for (const name of ['mood', 'moods', 'state']) {
        expect(column(name)).toMatchObject({ enumValues: ['sad', "it's ok"] });
      }
      expect(column('price')).toMatchObject({ comment: 'in euros' });
    });

    test('have their keys, columns in the order of the key', async () => {
      expect(await named('item')).toMatchObject({
        primaryKey: ['id', 'shop'],
        uniqueKeys: [['code'], ['price', 'shop']],
        foreignKeys: [],
      });
      expect(await named('sold')).toMatchObject({
        primaryKey: [],
        uniqueKeys: [],
        foreignKeys: [
          {
            name: 'sold_item',
            columns: ['item', 'shop'],
            referencedSchema: 'kinds',
            referencedTable: 'item',
            referencedColumns: ['id', 'shop'],
          },
        ],
      });
      expect(await named('kept')).toMatchObject({ uniqueKeys: [['id']] });
    });

    test.each([
      ['ITEM', ['item', 'sold']],
      ['for SALE', ['item']],
      ['euros', ['item']],
      ['twi_e', []],
      ['%', []],
      ['kept row', ['kept']],
    ])('are found by %j in names and comments, their own and of their columns', async (search, names) => {
      expect((await readTables(client, search)).map(({ name }) => name)).toEqual(names);
    });

    test('are a text for a prompt', async () => {
      expect(schemaText(await readTables(client, 'kinds.'), 10_000)).toBe(TEXT);
    });
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
