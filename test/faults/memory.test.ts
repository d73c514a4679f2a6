import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Build, buildServer, ServerProcess } from '../support/server-process.js';
import { size } from './faults.js';
import { reportFault } from './report.js';

const MiB = 1024 * 1024;
const UPLOAD_MB = size('UPLOAD_MB');
const WARM_UP_MB = 5;
const MAY_GROW_BY = 100 * MiB;
const SAMPLE_MS = 50;
const BOUNDARY = 'replichat-test-boundary';

(process.platform === 'linux' ? describe : describe.skip)('the memory of the server', () => {
  let build: Build;
  let server: ServerProcess;

  beforeAll(async () => {
    build = await buildServer();
    server = await ServerProcess.start(build, { REPLICA_ENGINE: 'embedded' });
  });
  afterAll(async () => {
    await server?.shutDown();
    await build?.remove();
  });

  test(
    `stays within ${MAY_GROW_BY / MiB} MiB of its idle size while ${UPLOAD_MB} MB are uploaded and restored`,
    async () => {
      await replicate(WARM_UP_MB);
      const idle = await residentBytes(server.pid);
      let highest = idle;
      const sampling = setInterval(async () => {
        highest = Math.max(highest, await residentBytes(server.pid));
      }, SAMPLE_MS);
      const startedAt = performance.now();
      const rows = await replicate(UPLOAD_MB).finally(() => clearInterval(sampling));
      const seconds = (performance.now() - startedAt) / 1000;
      const after = await residentBytes(server.pid);
      process.stdout.write(
        `\n${UPLOAD_MB} MB, ${rows} rows in ${seconds.toFixed(1)} s: the server had ${inMiB(idle)} when idle, ` +
          `${inMiB(highest)} at most, ${inMiB(after)} afterwards\n\n`,
      );
      await reportFault('large', {
        howOften: `${UPLOAD_MB} MB, ${rows} rows`,
        demanded: `the server grows by less than ${MAY_GROW_BY / MiB} MiB, and every row is in the replica`,
        seen: `${inMiB(idle)} when idle, ${inMiB(highest)} at most, ${inMiB(after)} afterwards; ${seconds.toFixed(1)} s`,
      });
      expect(highest - idle).toBeLessThan(MAY_GROW_BY);
    },
    60_000 + UPLOAD_MB * 500,
  );

  test('does not grow by what one cell of a query has, of 1 GB', async () => {
    const { client } = server;
    const chatId = await client.createChat();
    await client.replicate(chatId, 'SELECT 1;');
    const query = (sql: string) => client.runQuery(chatId, sql, { record: false, timeoutMs: 120_000 });
    const tooLarge = { errors: [{ extensions: { code: 'QUOTA_EXCEEDED', quota: 'result bytes' } }] };
    expect(await query("SELECT repeat('x', 20000000)")).toMatchObject(tooLarge);
    const idle = await residentBytes(server.pid);
    let highest = idle;
    const sampling = setInterval(async () => {
      highest = Math.max(highest, await residentBytes(server.pid));
    }, SAMPLE_MS);
    const answer = await query("SELECT repeat('x', 1000000000)").finally(() => clearInterval(sampling));
    process.stdout.write(`\na cell of 1 GB: the server had ${inMiB(idle)} when idle, ${inMiB(highest)} at most\n\n`);
    expect(answer).toMatchObject(tooLarge);
    expect(highest - idle).toBeLessThan(MAY_GROW_BY);
    expect(await client.rows(chatId, 'SELECT 1')).toEqual([[1]]);
    await client.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
  }, 180_000);

  /** Resolves with the number of rows, all of which are in the replica. */
  async function replicate(megabytes: number): Promise<number> {
    const { client } = server;
    const chatId = await client.createChat();
    const watching = client.watch(chatId);
    const rows = await upload(chatId, megabytes);
    const last = (await watching).at(-1);
    expect(last).toMatchObject({ state: 'READY', error: null });
    expect(last?.bytesTotal).toBeGreaterThan(megabytes * 1e6);
    expect(await client.rows(chatId, 'select count(*) from event')).toEqual([[rows]]);
    await client.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
    return rows;
  }

  /** The file is made while it is sent, no faster than the server takes it. */
  async function upload(chatId: string, megabytes: number): Promise<number> {
    const outgoing = request(server.client.url, {
      agent: false,
      method: 'POST',
      headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}`, 'apollo-require-preflight': 'true' },
    });
    outgoing.on('response', (response) => response.resume());
    const block = Buffer.from(ROW.repeat(ROWS_PER_BLOCK));
    const blocks = Math.ceil((megabytes * 1e6) / block.length);
    await pipeline(Readable.from(multipartOf(chatId, block, blocks)), outgoing);
    return blocks * ROWS_PER_BLOCK;
  }
});

const ROW = `4711\t2024-02-29 12:34:56+00\tlent\t${'The quick brown fox jumps over the lazy dog. '.repeat(3)}\t\\N\n`;
const ROWS_PER_BLOCK = 500;

function* multipartOf(chatId: string, block: Buffer, blocks: number): Generator<Buffer | string> {
  const query = 'mutation($input: UploadReplicaInput!) { uploadReplica(input: $input) { chatId } }';
  const operations = JSON.stringify({ query, variables: { input: { chatId, file: null } } });
  const part = (name: string, value: string) =>
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  yield part('operations', operations) + part('map', '{"file":["variables.input.file"]}');
  yield `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="dump.sql"\r\n\r\n`;
  yield '--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.2\n\n';
  yield 'CREATE TABLE public.event (id bigint, at timestamptz, kind text, note text, detail text);\n\n';
  yield 'COPY public.event (id, at, kind, note, detail) FROM stdin;\n';
  for (let count = 0; count < blocks; count += 1) yield block;
  yield '\\.\n\n\nCREATE INDEX event_at ON public.event (at);\n\n--\n-- PostgreSQL database dump complete\n--\n';
  yield `\r\n--${BOUNDARY}--\r\n`;
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

function inMiB(bytes: number): string {
  return `${Math.round(bytes / MiB)} MiB`;
}
