import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Client, createClient } from 'graphql-ws';
import pino from 'pino';
import WebSocket from 'ws';
import { createApp } from '../../src/app.js';
import { loadConfig } from '../../src/config.js';

export interface Answer {
  // What a query returns is the test's to know.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  data: any;
  errors?: { message: string; path?: string[]; extensions: Record<string, unknown> }[];
}

export interface Status {
  state: string;
  step: string | null;
  percent: number;
  sequence: number;
  bytesReceived: number;
  bytesRestored: number;
  bytesTotal: number | null;
  tablesDone: number;
  tablesTotal: number;
  indexesDone: number;
  indexesTotal: number;
  warnings: Issue[];
  error: Issue | null;
}

interface Issue {
  code: string;
  message: string;
  line: number | null;
  statement: string | null;
  sqlstate: string | null;
  object: string | null;
  hint: string | null;
}

const ISSUE = 'code message line statement sqlstate object hint';
export const STATUS = `state step percent sequence bytesReceived bytesRestored bytesTotal tablesDone tablesTotal
  indexesDone indexesTotal warnings(last: 100) { ${ISSUE} } error { ${ISSUE} }`;

const UPLOAD = `mutation Upload($input: UploadReplicaInput!) {
  uploadReplica(input: $input) { chatId engine status { state sequence } } }`;
const BOUNDARY = 'replichat-test-boundary';

/** A whole server on a free port, and what its clients do. Every server that it starts belongs to a chat. */
export async function startApp(env: Record<string, string>, level: pino.Level = 'debug') {
  const log: string[] = [];
  const logger = pino({ level }, { write: (line: string) => void log.push(line) });
  // A test that keeps an upload open may be slow to go on.
  const forTests = { PORT: '0', REPLICA_WARM: '0', UPLOAD_IDLE_TIMEOUT: '10m' };
  const app = await createApp(loadConfig({ ...forTests, ...env }), logger);
  app.httpServer.listen(0, '127.0.0.1');
  await once(app.httpServer, 'listening');
  await app.gateway?.listen();
  const { port } = app.httpServer.address() as AddressInfo;
  return { app, log, as: (token: string) => clientOf(port, token), ...clientOf(port) };
}

/** Talks to the server on this port of the loopback interface. */
export function clientOf(port: number, token?: string) {
  const url = `http://127.0.0.1:${port}/graphql`;
  const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };

  async function graphql(query: string, variables: Record<string, unknown> = {}): Promise<Answer> {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...authorization },
      body: JSON.stringify({ query, variables }),
    });
    return (await response.json()) as Answer;
  }

  async function createChat(changes: Record<string, unknown> = {}): Promise<string> {
    const input = { name: 'Test', host: 'db.test', user: 'app', password: 's3cret', database: 'shop', ...changes };
    const { data, errors } = await graphql('mutation($input: CreateChatInput!) { createChat(input: $input) { id } }', {
      input,
    });
    if (errors) throw new Error(errors[0]?.message);
    return data.createChat.id;
  }

  /** An upload that the test feeds: nothing has been sent of the file yet. */
  function openUpload(chatId: string, options: Record<string, unknown> = {}): OpenUpload {
    const outgoing = request(url, {
      // A kept connection may be one that the server is just closing, five seconds after the upload before.
      agent: false,
      method: 'POST',
      headers: {
        'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
        'apollo-require-preflight': 'true',
        ...authorization,
      },
    });
    const operations = { query: UPLOAD, variables: { input: { chatId, file: null, ...options } } };
    outgoing.write(part('operations', JSON.stringify(operations)));
    outgoing.write(part('map', JSON.stringify({ file: ['variables.input.file'] })));
    outgoing.write(
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="dump.sql"\r\n` +
        'Content-Type: application/sql\r\n\r\n',
    );
    return new OpenUpload(outgoing);
  }

  async function upload(chatId: string, dump: string | Buffer, options: Record<string, unknown> = {}): Promise<Answer> {
    const open = openUpload(chatId, options);
    open.write(dump);
    open.finish();
    return open.answer;
  }

  async function status(chatId: string): Promise<Status | null> {
    const { data } = await graphql(`query($id: ID!) { replicationStatus(chatId: $id) { ${STATUS} } }`, { id: chatId });
    return data.replicationStatus;
  }

  /** Every snapshot that a subscriber gets, until the subscription completes; `onStatus` hears of each at once. */
  async function watch(
    chatId: string,
    after?: number,
    onStatus: (status: Status) => void = () => {},
  ): Promise<Status[]> {
    const statuses: Status[] = [];
    for await (const { data } of subscribe(
      `subscription($id: ID!, $after: Int) { replicationStatus(chatId: $id, after: $after) { ${STATUS} } }`,
      { id: chatId, after },
    )) {
      const { replicationStatus: status } = data as { replicationStatus: Status };
      statuses.push(status);
      onStatus(status);
    }
    return statuses;
  }

  async function* subscribe(query: string, variables: Record<string, unknown>) {
    const client: Client = createClient({
      url: url.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      connectionParams: authorization,
    });
    try {
      yield* client.iterate({ query, variables });
    } finally {
      await client.dispose();
    }
  }

  /** Uploads and waits for the end; the last snapshot. */
  async function replicate(
    chatId: string,
    dump: string | Buffer,
    options: Record<string, unknown> = {},
  ): Promise<Status> {
    const { errors, data } = await upload(chatId, dump, options);
    if (errors) throw new Error(errors[0]?.message);
    const statuses = await watch(chatId, data.uploadReplica.status.sequence - 1);
    return statuses.at(-1) as Status;
  }

  async function runQuery(chatId: string, sql: string, options: Record<string, unknown> = {}): Promise<Answer> {
    return graphql(
      `mutation($input: RunQueryInput!) {
        runQuery(input: $input) { columns columnTypes rows rowCount truncated durationMs messages { id contentType role } }
      }`,
      { input: { chatId, sql, ...options } },
    );
  }

  /** The rows of a query that succeeds, each as an array. */
  async function rows(chatId: string, sql: string, options: Record<string, unknown> = {}): Promise<unknown[][]> {
    const { data, errors } = await runQuery(chatId, sql, { record: false, ...options });
    if (errors) throw new Error(errors[0]?.message);
    const { columns, rows } = data.runQuery as { columns: string[]; rows: Record<string, unknown>[] };
    return rows.map((row) => columns.map((column) => row[column]));
  }

  return { port, url, graphql, createChat, openUpload, upload, status, watch, subscribe, replicate, runQuery, rows };
}

export type TestApp = Awaited<ReturnType<typeof startApp>>;

export class OpenUpload {
  readonly answer: Promise<Answer>;

  constructor(private readonly outgoing: ClientRequest) {
    this.answer = new Promise((resolve, reject) => {
      outgoing.once('error', reject);
      outgoing.once('response', (response: IncomingMessage) => {
        // The answer comes while the file is still being sent, and the response ends only after it.
        const chunks: Buffer[] = [];
        response.on('data', (chunk) => {
          chunks.push(chunk);
          const answer = parsed(Buffer.concat(chunks).toString());
          if (answer) resolve(answer);
        });
        response.on('error', reject);
        response.on('end', () => reject(new Error(`no JSON: ${Buffer.concat(chunks)}`)));
      });
    });
    this.answer.catch(() => {});
  }

  write(bytes: string | Buffer): void {
    this.outgoing.write(bytes);
  }

  finish(): void {
    this.outgoing.end(`\r\n--${BOUNDARY}--\r\n`);
  }

  disconnect(): void {
    this.outgoing.destroy();
  }
}

function parsed(json: string): Answer | undefined {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function part(name: string, value: string): string {
  return `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
}
