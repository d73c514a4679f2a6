import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { queued, type ReplicaState } from '../../src/domain/replica.js';
import { Metrics } from '../../src/telemetry/metrics.js';
import { startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { AUTH, tokenFor } from '../support/tokens.js';

const QUICK = { REPLICA_ENGINE: 'embedded', GATEWAY_PORT: 'off' };

/** Name and labels -> value. */
async function valuesOf(text: string | Promise<string>): Promise<Map<string, number>> {
  const lines = (await text).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

describe('a server of one user', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp(QUICK);
  });
  afterAll(() => app.app.close());

  async function scrape(): Promise<Map<string, number>> {
    const response = await fetch(`http://127.0.0.1:${app.port}/metrics`);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=/);
    return valuesOf(response.text());
  }

  test('tells of what it has done on /metrics', async () => {
    const chatId = await app.createChat();
    await app.replicate(chatId, 'create table t as select 1 as one;');
    await app.graphql('query Mine($id: ID!) { chat(id: $id) { id } }', { id: chatId });
    await app.graphql('query Mine { nowhere }');
    await app.graphql('mutation Bad { deleteChat(id: "x") }');
    await app.replicate(chatId, 'create table broken (');
    await eventually('the subscriptions have ended', async () =>
      [...(await scrape()).keys()].some((key) => key.includes('transport="websocket"')),
    );
    const values = await scrape();
    const operation = (labels: string) => values.get(`replichat_operation_seconds_count{${labels}}`);
    expect(operation('transport="http",type="query",name="Mine",outcome="ok"')).toBe(1);
    expect(operation('transport="http",type="mutation",name="Bad",outcome="error"')).toBe(1);
    expect(operation('transport="http",type="mutation",name="Upload",outcome="ok"')).toBe(2);
    expect(operation('transport="http",type="invalid",name="",outcome="error"')).toBe(1);
    expect(operation('transport="websocket",type="subscription",name="",outcome="ok"')).toBeGreaterThan(0);
    expect(values.get('replichat_replication_seconds_count{state="READY"}')).toBe(1);
    expect(values.get('replichat_replication_seconds_count{state="FAILED"}')).toBe(1);
    expect(values.get('replichat_restored_bytes_total')).toBe('create table t as select 1 as one;'.length);
    expect(values.get('replichat_event_lag_seconds_count')).toBeGreaterThan(3);
    expect(values.get('replichat_warm_servers')).toBe(0);
    expect(values.get('process_resident_memory_bytes')).toBeGreaterThan(1e6);
  });

  test('tells of no chat and no user', async () => {
    const chatId = await app.createChat();
    await app.replicate(chatId, 'select 1;');
    expect([...(await scrape()).keys()].join('\n')).not.toContain(chatId);
    const ready = 'replichat_replicas{state="READY"}';
    const before = (await scrape()).get(ready) as number;
    expect(before).toBeGreaterThan(0);
    const upload = app.openUpload(chatId);
    upload.write('select 1;\n'.padEnd(2000, '\n'));
    await upload.answer;
    await eventually('it is under way', async () => {
      const values = await scrape();
      return ['STARTING', 'RESTORING'].some((state) => values.get(`replichat_replicas{state="${state}"}`) === 1);
    });
    // The earlier one is in use until the new one is READY.
    expect((await scrape()).get(ready)).toBe(before);
    upload.finish();
    await app.watch(chatId);
    await app.graphql('mutation($id: ID!) { deleteReplica(chatId: $id) }', { id: chatId });
    expect((await scrape()).get(ready)).toBe(before - 1);
  });
});

test('a server with users tells it on METRICS_PORT only', async () => {
  const withoutPort = await startApp({ ...QUICK, ...AUTH });
  const withPort = await startApp({ ...QUICK, ...AUTH, METRICS_PORT: '0' });
  expect(withoutPort.app.metricsServer).toBeUndefined();
  for (const { port } of [withoutPort, withPort]) {
    const headers = { authorization: `Bearer ${await tokenFor('ada')}` };
    expect((await fetch(`http://127.0.0.1:${port}/metrics`, { headers })).status).toBe(404);
  }
  const server = withPort.app.metricsServer as Server;
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  expect((await valuesOf((await fetch(`http://127.0.0.1:${port}/metrics`)).text())).size).toBeGreaterThan(10);
  expect((await fetch(`http://127.0.0.1:${port}/graphql`)).status).toBe(404);
  await withoutPort.app.close();
  await withPort.app.close();
  await expect(fetch(`http://127.0.0.1:${port}/metrics`)).rejects.toThrow();
});

describe('the metrics', () => {
  let states: ReplicaState[] = [];
  const metrics = new Metrics({ warmServers: () => 3, replicas: () => states });
  const countOf = async (key: string) => (await valuesOf(metrics.text())).get(key);

  test('keep to so many names of operations, however many clients invent', async () => {
    const report = { transport: 'http', type: 'query', failed: false, seconds: 0 } as const;
    for (let n = 0; n < 1_000; n++) metrics.countOperation({ ...report, name: `n${n}` });
    metrics.countOperation({ ...report, name: 'x'.repeat(1_000) });
    metrics.countOperation({ ...report, name: 'n7' });
    const keys = [...(await valuesOf(metrics.text())).keys()];
    expect(keys.filter((key) => key.startsWith('replichat_operation_seconds_count'))).toHaveLength(101);
    const count = (name: string) =>
      countOf(`replichat_operation_seconds_count{transport="http",type="query",name="${name}",outcome="ok"}`);
    expect([await count('n7'), await count('other')]).toEqual([2, 901]);
  });

  test('count a replication once, when it ends, and not again what becomes of its replica', async () => {
    const accepted = queued('chat', 0, new Date());
    const note = (state: ReplicaState, seconds: number) => {
      const at = new Date(accepted.at.getTime() + 1_000 * seconds);
      metrics.noteStatus('chat', { ...accepted, at, state, bytesRestored: 10 });
    };
    note('QUEUED', 0);
    note('RESTORING', 1);
    note('READY', 4);
    // As a server does that takes the replica over.
    note('READY', 50);
    note('EXPIRED', 100);
    expect(await countOf('replichat_replication_seconds_sum{state="READY"}')).toBe(4);
    expect(await countOf('replichat_replication_seconds_count{state="READY"}')).toBe(1);
    expect(await countOf('replichat_restored_bytes_total')).toBe(10);
    expect(await countOf('replichat_replication_seconds_count{state="EXPIRED"}')).toBeUndefined();
  });

  test('ask for what there is whenever they are asked for', async () => {
    const replicas = (state: string) => countOf(`replichat_replicas{state="${state}"}`);
    states = ['QUEUED', 'RESTORING', 'READY', 'READY'];
    expect(await Promise.all(['QUEUED', 'STARTING', 'RESTORING', 'READY'].map(replicas))).toEqual([1, 0, 1, 2]);
    states = [];
    expect(await Promise.all(['QUEUED', 'STARTING', 'RESTORING', 'READY'].map(replicas))).toEqual([0, 0, 0, 0]);
    expect(await countOf('replichat_warm_servers')).toBe(3);
  });
});
