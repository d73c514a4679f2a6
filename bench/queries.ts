import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import type { Answer } from '../test/support/app.js';
import { BenchError } from './errors.js';
import { median } from './statistics.js';

/** One small query on one replica, each way as often and in turn; milliseconds. */
export interface QueryTimes {
  readonly sql: string;
  /** By node-postgres on a kept connection, by the road that the server takes. */
  readonly direct: readonly number[];
  /** As `durationMs` has it. */
  readonly service: readonly number[];
  readonly http: readonly number[];
}

export interface QueryResults {
  readonly queries: readonly QueryTimes[];
  /** Readings of everything about TABLES tables over HTTP; milliseconds. */
  readonly tables: readonly number[];
}

export const TABLES = 1_000;
const QUERIES = ['SELECT 1', 'SELECT * FROM lookup WHERE id = 4711'];
export const REPEATED = 300;
const READINGS = 9;
/** Until everything is compiled, cached and connected. */
const UNCOUNTED = 30;

const RUN = 'mutation ($input: RunQueryInput!) { runQuery(input: $input) { columns rows durationMs } }';
const READ = `query ($chatId: ID!) { chat(id: $chatId) { replica { tables {
  schema name kind rowEstimate sizeBytes comment primaryKey uniqueKeys partitionKey
  columns { name type nullable default generated identity primaryKey enumValues comment }
  foreignKeys { name columns referencedSchema referencedTable referencedColumns }
} } } }`;

/** What the replica is made from: a table to look rows up in, and as many as a large application has. */
export function queriesScript(): string {
  const tables = Array.from({ length: TABLES }, (_, number) => {
    const parent = number === 0 ? '' : `, parent bigint REFERENCES table_${number - 1}`;
    return `CREATE TABLE table_${number} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code varchar(20) UNIQUE,
      name text NOT NULL, state state DEFAULT 'new', amount numeric(12, 2), tags text[], at timestamptz DEFAULT now()${parent});
      COMMENT ON TABLE table_${number} IS 'The table number ${number}'; COMMENT ON COLUMN table_${number}.amount IS 'in euros';`;
  });
  return `CREATE TYPE state AS ENUM ('new', 'paid', 'sent');
    CREATE TABLE lookup AS SELECT id, md5(id::text) AS name, now() AS at FROM generate_series(1, 100000) id;
    ALTER TABLE lookup ADD PRIMARY KEY (id);
    ${tables.join('\n')}`;
}

export async function measureQueries(url: string, chatId: string, direct: pg.ClientConfig): Promise<QueryResults> {
  const connection = new pg.Client(direct);
  const api = new Api(url);
  await connection.connect();
  try {
    const queries: QueryTimes[] = [];
    for (const sql of QUERIES) queries.push(await measureQuery(api, chatId, connection, sql));
    const tables: number[] = [];
    for (let reading = 0; reading < READINGS; reading += 1) {
      tables.push((await timed(() => api.ask(READ, { chatId }))).ms);
    }
    return { queries, tables };
  } finally {
    api.close();
    await connection.end();
  }
}

async function measureQuery(api: Api, chatId: string, connection: pg.Client, sql: string): Promise<QueryTimes> {
  const direct: number[] = [];
  const service: number[] = [];
  const http: number[] = [];
  for (let run = 0; run < REPEATED + UNCOUNTED; run += 1) {
    const straight = await timed(() => connection.query(sql));
    const over = await timed(() => api.ask(RUN, { input: { chatId, sql, record: false } }));
    if (run < UNCOUNTED) continue;
    direct.push(straight.ms);
    http.push(over.ms);
    service.push(over.result.runQuery.durationMs);
  }
  return { sql, direct, service, http };
}

/** One connection that is kept; a fetch would take more time than what is measured. */
class Api {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(private readonly url: string) {}

  async ask(query: string, variables: Record<string, unknown>): Promise<Answer['data']> {
    const body = JSON.stringify({ query, variables });
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const answer = await new Promise<string>((resolve, reject) => {
      const outgoing = request(this.url, { agent: this.#agent, method: 'POST', headers });
      outgoing.on('response', (response) => text(response).then(resolve, reject));
      outgoing.on('error', reject);
      outgoing.end(body);
    });
    const { data, errors }: Answer = JSON.parse(answer);
    if (errors) throw new BenchError(`Replichat answered: ${errors[0]?.message}`);
    return data;
  }

  close(): void {
    this.#agent.destroy();
  }
}

async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; result: T }> {
  const begin = performance.now();
  const result = await work();
  return { ms: performance.now() - begin, result };
}

/** The most that a small query takes longer than straight at the server, by the medians. */
export function addedMs({ queries }: QueryResults, by: 'service' | 'http'): number {
  return Math.max(...queries.map((times) => median(times[by]) - median(times.direct)));
}
