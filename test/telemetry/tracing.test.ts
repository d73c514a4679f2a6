import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { next, queued, type ReplicationStatus } from '../../src/domain/replica.js';
import { MemoryEventBus } from '../../src/events/memory.js';
import { Tracing } from '../../src/telemetry/tracing.js';
import { startApp } from '../support/app.js';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: { key: string; value: { stringValue?: string; intValue?: number } }[];
  readonly status: { code?: number };
}

const QUICK = { REPLICA_ENGINE: 'embedded', GATEWAY_PORT: 'off' };
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const ERROR = 2;

const received: string[] = [];
let collector: Server;
let endpoint: string;
beforeAll(async () => {
  collector = createServer(async (request, response) => {
    received.push(`${request.url} ${await text(request)}`);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  await once(collector.listen(0, '127.0.0.1'), 'listening');
  endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
});
afterAll(() => void collector.close());

function spans(): Span[] {
  return received.flatMap((line) => {
    const { resourceSpans } = JSON.parse(line.slice(line.indexOf(' ')));
    return resourceSpans.flatMap(({ scopeSpans }: { scopeSpans: { spans: Span[] }[] }) =>
      scopeSpans.flatMap((scope) => scope.spans),
    );
  });
}

test('a request, the replication that it starts, its steps and a query are spans below one another', async () => {
  const { app, url, ...client } = await startApp({ ...QUICK, OTEL_EXPORTER_OTLP_ENDPOINT: `${endpoint}/` });
  const chatId = await client.createChat({ password: 'c4nary' });
  expect(await client.replicate(chatId, 'create table t as select 1 as one;')).toMatchObject({ state: 'READY' });
  expect(await client.replicate(chatId, 'create table c4nary (')).toMatchObject({ state: 'FAILED' });
  await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent: `00-${TRACE}-b7ad6b7169203331-01` },
    body: JSON.stringify({
      query: 'mutation Ask($id: ID!) { runQuery(input: { chatId: $id, sql: "select \'c4nary\'" }) { rows } }',
      variables: { id: chatId },
    }),
  });
  await client.runQuery(chatId, 'select c4nary');
  await app.close();

  expect(received.every((line) => line.startsWith('/v1/traces '))).toBe(true);
  const all = spans();
  const named = (name: string) => all.filter((span) => span.name === name);
  const uploads = named('graphql Upload');
  const replications = named('replication');
  expect(replications.map(({ parentSpanId }) => parentSpanId)).toEqual(
    expect.arrayContaining(uploads.map(({ spanId }) => spanId)),
  );
  expect(replications.map(({ status }) => status.code === ERROR).sort()).toEqual([false, true]);
  const ready = replications.find(({ status }) => status.code !== ERROR) as Span;
  const steps = all.filter(({ parentSpanId }) => parentSpanId === ready.spanId).map(({ name }) => name);
  expect(steps).toEqual(expect.arrayContaining(['QUEUED', 'STARTING', 'RESTORING FINISHING']));
  expect(BigInt(ready.endTimeUnixNano)).toBeGreaterThan(BigInt(ready.startTimeUnixNano));

  const ask = named('graphql Ask')[0] as Span;
  expect([ask.traceId, ask.parentSpanId]).toEqual([TRACE, 'b7ad6b7169203331']);
  const queries = named('query');
  expect(queries.map(({ status }) => status.code === ERROR).sort()).toEqual([false, true]);
  expect(queries.some(({ traceId, parentSpanId }) => traceId === TRACE && parentSpanId === ask.spanId)).toBe(true);
  expect(named('graphql subscription').length).toBeGreaterThan(0);
  expect(received.join()).not.toContain('c4nary');
});

test('a replication whose end was told elsewhere is over when the next one of its chat is accepted', async () => {
  received.length = 0;
  const tracing = new Tracing({ endpoint: new URL(endpoint), instance: 'one' });
  const events = tracing.around(new MemoryEventBus());
  const publish = (status: ReplicationStatus) => events.publish('replication', 'chat', status);
  const first = queued('chat', 0, new Date(1_000));
  await publish(first);
  await publish(next(first, { type: 'starting' }, new Date(2_000)));
  const second = queued('chat', 7, new Date(9_000));
  await publish(second);
  await publish(next(second, { type: 'cancelled', error: { code: 'CANCELLED', message: '' } }, new Date(10_000)));
  await tracing.close();
  const times = spans().map((span) => [span.name, seconds(span.startTimeUnixNano), seconds(span.endTimeUnixNano)]);
  expect(times.sort()).toEqual([
    ['QUEUED', 1, 2],
    ['QUEUED', 9, 10],
    ['STARTING', 2, 9],
    ['replication', 1, 9],
    ['replication', 9, 10],
  ]);
});

function seconds(nanoseconds: string): number {
  return Number(BigInt(nanoseconds) / 1_000_000_000n);
}

test('without an endpoint nothing is sent, and a collector that is away keeps nobody waiting', async () => {
  received.length = 0;
  const without = await startApp(QUICK);
  await without.createChat();
  await without.app.close();
  expect(received).toEqual([]);
  const away = await startApp({ ...QUICK, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' });
  await away.createChat();
  const begun = performance.now();
  await away.app.close();
  expect(performance.now() - begun).toBeLessThan(15_000);
});
