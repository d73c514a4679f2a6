import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Client, createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { MemoryEventBus } from '../../src/events/memory.js';
import type { EventBus } from '../../src/ports.js';
import { STATUS, type Status, startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';

const SOCKETS = 4;
const SUBSCRIBERS_PER_SOCKET = 50;
/** So that what the slow reader leaves unread is more than the buffers of both sockets hold. */
const SLOW_SUBSCRIPTIONS = 50;
/** A client that has not answered a ping for so long is gone. */
const PING_MS = 15_000;
const ROUNDS = 10;
/** A server listens for another that replaces a replica which it uses. */
const OF_A_REPLICA_IN_USE = 1;
const PADDING = Array.from({ length: 1_200 }, (_, index) => `a${index}: chatId`).join(' ');
const LIBRARY = new URL('../../examples/library.sql', import.meta.url);
const WATCH = `subscription($id: ID!) { replicationStatus(chatId: $id) { ${STATUS} } }`;

/** Who listens for replications at the moment: the bus works as ever, and is looked at from outside. */
const listeners = new Set<object>();
const { subscribe } = MemoryEventBus.prototype;
let app: TestApp;
let library: Buffer;

beforeAll(async () => {
  MemoryEventBus.prototype.subscribe = function (this: MemoryEventBus, kind, chatId, listener) {
    const off = subscribe.call(this, kind, chatId, listener as Parameters<typeof subscribe>[2]);
    if (kind !== 'replication') return off;
    const listening = {};
    listeners.add(listening);
    return () => {
      listeners.delete(listening);
      off();
    };
  } as EventBus['subscribe'];
  app = await startApp({ REPLICA_ENGINE: 'embedded', MAX_QUERY_ALIASES: '1200' });
  library = await readFile(LIBRARY);
});
afterAll(async () => {
  MemoryEventBus.prototype.subscribe = subscribe;
  await app?.app.close();
});

function openSocket(): Client {
  const url = app.url.replace('http', 'ws');
  return createClient({ url, webSocketImpl: WebSocket, lazy: false, retryAttempts: 0, onNonLazyError: () => {} });
}

async function history(socket: Client, chatId: string): Promise<Status[]> {
  const statuses: Status[] = [];
  for await (const { data } of socket.iterate({ query: WATCH, variables: { id: chatId } })) {
    statuses.push((data as unknown as { replicationStatus: Status }).replicationStatus);
  }
  return statuses;
}

function expectHistory(statuses: readonly Status[]): void {
  expect(statuses.at(-1)).toMatchObject({ state: 'READY', percent: 100, error: null });
  statuses.slice(1).forEach((status, index) => {
    const before = statuses[index] as Status;
    expect(status.sequence).toBeGreaterThan(before.sequence);
    expect(status.percent).toBeGreaterThanOrEqual(before.percent);
  });
}

function steps(statuses: readonly Status[]): string[] {
  return [...new Set(statuses.flatMap(({ state, step }) => [state, ...(step ? [step] : [])]))];
}

const EVERYTHING = [
  'QUEUED',
  'STARTING',
  'RESTORING',
  'SCHEMA',
  'DATA',
  'INDEXES',
  'CONSTRAINTS',
  'FINISHING',
  'READY',
];
const MAY_BE_MISSING = new Set(['INDEXES', 'CONSTRAINTS']);

function expectEverything(everything: readonly string[]): void {
  // What is left of the indexes or constraints may end beside the steps before.
  expect(EVERYTHING.filter((step) => !MAY_BE_MISSING.has(step) || everything.includes(step))).toEqual(everything);
}

describe(`${SOCKETS * SUBSCRIBERS_PER_SOCKET} subscribers on ${SOCKETS} sockets`, () => {
  test('see the same replication from its beginning to its end', async () => {
    const chatId = await app.createChat();
    const sockets = Array.from({ length: SOCKETS }, openSocket);
    const histories = sockets.flatMap((socket) =>
      Array.from({ length: SUBSCRIBERS_PER_SOCKET }, () => history(socket, chatId)),
    );
    await eventually('all listen', async () => listeners.size === histories.length);

    await app.upload(chatId, library);
    const [first, ...others] = await Promise.all(histories);
    const everything = steps(first as Status[]);
    expectEverything(everything);
    expectHistory(first as Status[]);
    for (const statuses of others) {
      expectHistory(statuses);
      expect(steps(statuses)).toEqual(everything);
    }
    expect((await app.status(chatId))?.state).toBe('READY');

    await eventually('nobody listens any more', async () => listeners.size === OF_A_REPLICA_IN_USE);
    const { errors } = await app.graphql(
      'query($id: ID!) { replicationStatus(chatId: $id) { warnings(last: -1) { code } } }',
      { id: chatId },
    );
    expect(errors?.[0]).toMatchObject({
      message: 'last: -1 is out of range; give 0 or more',
      extensions: { code: 'BAD_USER_INPUT', field: 'last' },
    });
    await Promise.all(sockets.map((socket) => socket.dispose()));
    await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
  });

  test('do not wait for a slow one, which sees everything, too', async () => {
    let seen = false;
    for (let round = 0; round < ROUNDS && !seen; round += 1) seen = await seenSlowly();
    expect(seen).toBe(true);
  }, 900_000);

  /** False when the restore took longer than a client may leave a ping without an answer. */
  async function seenSlowly(): Promise<boolean> {
    const chatId = await app.createChat();
    const [socket, slow] = [openSocket(), await openSlowSocket()];
    for (let id = 0; id < SLOW_SUBSCRIPTIONS; id += 1) slow.subscribe(chatId, `${id}`);
    const watching = history(socket, chatId);
    await eventually('all listen', async () => listeners.size === SLOW_SUBSCRIPTIONS + 1);
    const pausedAt = performance.now();
    slow.socket.pause();
    await app.upload(chatId, library);
    const everything = steps(await watching);
    slow.socket.resume();
    const isDone = async () =>
      slow.completed.size === SLOW_SUBSCRIPTIONS || slow.socket.readyState === WebSocket.CLOSED;
    await eventually('the slow reader has everything', isDone, 180_000);
    const isTooLate = slow.completed.size < SLOW_SUBSCRIPTIONS && performance.now() - pausedAt > PING_MS;
    if (!isTooLate) {
      expectEverything(everything);
      expect(slow.completed.size).toBe(SLOW_SUBSCRIPTIONS);
      for (const statuses of slow.statuses.values()) {
        expectHistory(statuses);
        expect(steps(statuses)).toEqual(everything);
      }
    }
    slow.socket.close();
    await socket.dispose();
    await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
    await eventually('nobody listens any more', async () => listeners.size === 0);
    return !isTooLate;
  }

  test('that leave in the middle leave nothing behind, and the others see the end', async () => {
    const chatId = await app.createChat();
    const [leaving, staying] = [openSocket(), openSocket()];
    const left = Array.from({ length: SUBSCRIBERS_PER_SOCKET }, () => history(leaving, chatId).catch(() => []));
    const stayed = Array.from({ length: SUBSCRIBERS_PER_SOCKET }, () => history(staying, chatId));
    await eventually('all listen', async () => listeners.size === 2 * SUBSCRIBERS_PER_SOCKET);
    const upload = app.openUpload(chatId);
    upload.write(library.subarray(0, library.length / 2));
    await eventually('the restore is under way', async () => (await app.status(chatId))?.step === 'DATA');
    leaving.terminate();
    await Promise.all(left);
    await eventually('those who left do not listen', async () => listeners.size === SUBSCRIBERS_PER_SOCKET);
    upload.write(library.subarray(library.length / 2));
    upload.finish();
    for (const statuses of await Promise.all(stayed)) expectHistory(statuses);
    await eventually('nobody listens any more', async () => listeners.size === OF_A_REPLICA_IN_USE);
    await staying.dispose();
    await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
  });
});

interface ServerMessage {
  type: string;
  id: string;
  payload?: { data?: { replicationStatus: Status } };
}

/** Speaks graphql-transport-ws by hand: the client of graphql-ws cannot be made to stop reading. */
async function openSlowSocket() {
  const socket = new WebSocket(app.url.replace('http', 'ws'), 'graphql-transport-ws');
  const statuses = new Map<string, Status[]>();
  const completed = new Set<string>();
  await once(socket, 'open');
  // Of a server that takes it for gone.
  socket.on('error', () => {});
  socket.send('{"type":"connection_init"}');
  await once(socket, 'message');
  socket.on('message', (text) => {
    const { type, id, payload } = JSON.parse(String(text)) as ServerMessage;
    if (type === 'complete') completed.add(id);
    const status = payload?.data?.replicationStatus;
    if (type === 'next' && status) statuses.set(id, [...(statuses.get(id) ?? []), status]);
  });
  function subscribe(chatId: string, id: string): void {
    const query = `subscription($id: ID!) { replicationStatus(chatId: $id) { ${STATUS} ${PADDING} } }`;
    socket.send(JSON.stringify({ type: 'subscribe', id, payload: { query, variables: { id: chatId } } }));
  }
  return { socket, statuses, completed, subscribe };
}
