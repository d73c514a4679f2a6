import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pino } from 'pino';
import type { Chat } from '../../src/domain/chat.js';
import { ReplichatError } from '../../src/domain/errors.js';
import { queued } from '../../src/domain/replica.js';
import type { ReplicaEngine, ReplicaServer } from '../../src/ports.js';
import { runStatement } from '../../src/postgres/statement.js';
import type { Tenant } from '../../src/postgres/tenant.js';
import { WellFormed } from '../../src/postgres/well-formed.js';
import { type DumpUpload, Replication } from '../../src/services/replication.js';
import { RunningReplica } from '../../src/services/running.js';
import { inSession } from '../../src/services/session.js';
import { eventually } from '../support/eventually.js';

/** What a server may do that a dump has taken over. */
type Attack = (socket: Socket) => void;

const TIMEOUT_MS = 500;
const LONG_SECONDS = 20;

const ATTACKS: [string, Attack][] = [
  ['nothing at all', () => {}],
  ['no PostgreSQL', (socket) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['zeros', (socket) => void socket.write(Buffer.alloc(100_000))],
  ['a message of a negative length', (socket) => void socket.write(Buffer.from('44ffffffff0000', 'hex'))],
  ['a message of length 0', (socket) => void socket.write(Buffer.from('4400000000', 'hex'))],
  ['a message of 2 GiB', (socket) => void socket.write(Buffer.from('447fffffff0001', 'hex'))],
  ['half a message, and the end', (socket) => socket.end(Buffer.from('440000ffff0001', 'hex'))],
  ['the end', (socket) => socket.end()],
  ['an error without fields and without end', (socket) => send(socket, 'E', '')],
  ['an error without its end', (socket) => send(socket, 'E', 'S')],
  ['a notice without its end', (socket) => send(socket, 'N', 'SERROR\0Mhello')],
  ['an error with more behind its end', (socket) => send(socket, 'E', 'SERROR\0\0Mmore')],
  ['a row without fields', (socket) => send(socket, 'D', '')],
  ['a row of -1 fields', (socket) => send(socket, 'D', int16(-1))],
  [
    'a row whose fields lead back',
    (socket) => send(socket, 'D', Buffer.concat([int16(32_767), int32(100), Buffer.alloc(96), int32(-104)])),
  ],
  ['a row whose field is longer than it', (socket) => send(socket, 'D', Buffer.concat([int16(1), int32(1_000_000)]))],
  ['a description of -1 columns', (socket) => send(socket, 'T', int16(-1))],
  ['a description that ends early', (socket) => send(socket, 'T', Buffer.concat([int16(3), Buffer.from('a\0')]))],
  ['no state of a transaction', (socket) => send(socket, 'Z', '')],
  ['a way to log in that is none', (socket) => send(socket, 'R', int32(99))],
  ['an unknown message', (socket) => send(socket, '?', 'x')],
  [
    'a row that nobody has asked for',
    (socket) => send(socket, 'D', Buffer.concat([int16(1), int32(1), Buffer.from('x')])),
  ],
  ['a COPY that nobody has asked for', (socket) => send(socket, 'G', Buffer.concat([Buffer.from([0]), int16(0)]))],
  ['the end of a login that was', (socket) => send(socket, 'R', Buffer.concat([int32(12), Buffer.from('v=x')]))],
  ['endless notices', endless('N', 'SNOTICE\0Mhello\0\0')],
  ['endless settings', endless('S', 'application_name\0x\0')],
  ['endless rows', endless('D', Buffer.concat([int16(1), int32(1_000), Buffer.alloc(1_000, 'x')]))],
  ['endless ends of nothing', endless('C', 'SELECT 0\0')],
];

function send(socket: Socket, type: string, body: string | Buffer): void {
  socket.write(message(type, body));
}

function message(type: string, body: string | Buffer): Buffer {
  const bytes = Buffer.from(body);
  return Buffer.concat([Buffer.from(type), int32(bytes.length + 4), bytes]);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function endless(type: string, body: string | Buffer): Attack {
  const batch = Buffer.concat(Array.from({ length: 500 }, () => message(type, body)));
  return (socket) => {
    const more = () => {
      while (!socket.destroyed && socket.write(batch));
    };
    socket.on('drain', more);
    more();
  };
}

const GREETING = Buffer.concat([
  message('R', int32(0)),
  message('S', 'server_version\x0015.1\0'),
  message('K', Buffer.concat([int32(1), int32(2)])),
  message('Z', 'I'),
]);

const uncaught: unknown[] = [];
const note = (error: unknown) => void uncaught.push(error);
const listeners = new Set<Server>();
const sockets = new Set<Socket>();

beforeAll(() => void process.on('uncaughtException', note));
afterEach(async () => {
  for (const listener of listeners) listener.close();
  listeners.clear();
  await eventually('no connection is left', async () => sockets.size === 0);
  expect(uncaught).toEqual([]);
});
afterAll(() => void process.off('uncaughtException', note));

/** It attacks a session from the first byte on or, when it is polite, once it has let it in. */
async function hostileServer(attack: Attack, isPolite: boolean): Promise<ReplicaServer> {
  const own = new Set<Socket>();
  let disposed = false;
  const listener = createServer((socket) => {
    if (disposed) return void socket.destroy();
    for (const all of [own, sockets]) all.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
    socket.once('data', () => {
      if (!isPolite) return attack(socket);
      socket.write(GREETING);
      socket.once('data', () => attack(socket));
    });
  });
  listeners.add(listener);
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  return {
    id: 'hostile',
    admin: { user: 'admin', password: 'x', database: 'postgres' },
    cpus: 1,
    assign: async () => {},
    open: async () => connect(port, '127.0.0.1'),
    stopped: new Promise(() => {}),
    fault: async () => undefined,
    dispose: async () => {
      disposed = true;
      for (const socket of own) socket.destroy();
    },
  };
}

/** What comes of each attack, all at once. */
async function outcomes(of: (attack: Attack) => Promise<unknown>): Promise<[string, unknown][]> {
  return Promise.all(ATTACKS.map(async ([name, attack]) => [name, await of(attack)] as [string, unknown]));
}

const logger = pino({ level: 'silent' });
const TENANT = { user: 'app', password: 'x', database: 'shop' } as Tenant;

describe.each([
  ['to a login', false],
  ['to a query', true],
])('whatever a server answers %s,', (_what, isPolite) => {
  test('a query ends in time, and with an error that says so', async () => {
    const end = async (attack: Attack) => {
      const server = await hostileServer(attack, isPolite);
      const options = { ttlSeconds: null, diskBytes: 1e9, onDiskFull: () => {}, onRemoved: undefined, logger };
      const replica = new RunningReplica(server, TENANT, options);
      const begun = performance.now();
      const query = replica.read((live) =>
        inSession(live, TIMEOUT_MS, new AbortController().signal, (client) =>
          runStatement(client, 'select 1', { readOnly: true, timeoutMs: TIMEOUT_MS, maxRows: 10, maxBytes: 1e6 }),
        ),
      );
      const error = await query.catch((error) => error);
      const seconds = (performance.now() - begun) / 1000;
      await replica.dispose('the test is over');
      return { seconds, what: error instanceof ReplichatError ? error.code : error };
    };
    const codes = await outcomes(async (attack) => {
      const first = await end(attack);
      // All the others may have kept it waiting.
      const { seconds, what } = first.seconds < LONG_SECONDS ? first : await end(attack);
      return seconds < LONG_SECONDS ? what : `${seconds} s`;
    });
    const expected = expect.stringMatching(/^(REPLICA_NOT_READY|QUERY_TIMEOUT|QUOTA_EXCEEDED)$/);
    expect(codes).toEqual(ATTACKS.map(([name]) => [name, expected]));
  });

  test('a replication ends in time, FAILED', async () => {
    const ends = await outcomes(async (attack) => {
      const server = await hostileServer(attack, isPolite);
      const engine = { name: 'hostile', provision: async () => server } as unknown as ReplicaEngine;
      const replication = new Replication(queued('chat', 0, new Date()), new AbortController(), async () => {}, logger);
      const head = Buffer.from('create table a ();\n');
      const upload: DumpUpload = {
        head,
        rest: Readable.from([]),
        wrapping: { content: 'plain' },
        versions: {} as never,
      };
      const limits = { diskBytes: 1e9, spoolBytes: 1e9, maxUnpackedBytes: 1e9, timeoutMs: 3 * TIMEOUT_MS };
      const chat = { id: 'chat', user: 'app', database: 'shop' } as Chat;
      await replication.run(chat, upload, engine, { onError: 'STOP', ...limits }, async () => {});
      return replication.status.state;
    });
    expect(ends).toEqual(ATTACKS.map(([name]) => [name, 'FAILED']));
  });
});

test('what a server says is handed on in whole messages, however it arrives', () => {
  const said = Buffer.concat([
    GREETING,
    message('T', Buffer.concat([int16(1), Buffer.from('a\0'), Buffer.alloc(18)])),
    message('D', Buffer.concat([int16(2), int32(-1), int32(3), Buffer.from('abc')])),
    message('D', Buffer.concat([int16(0)])),
    message('N', 'SNOTICE\0Mhello\0\0'),
    message('A', Buffer.concat([int32(1), Buffer.from('channel\0\0')])),
    message('C', 'SELECT 2\0'),
    message('R', Buffer.concat([int32(10), Buffer.from('SCRAM-SHA-256\0\0')])),
    message('Z', 'I'),
  ]);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (sizes) => {
      const check = new WellFormed();
      const whole: Buffer[] = [];
      for (let at = 0, n = 0; at < said.length; n++) {
        const size = sizes[n % sizes.length] as number;
        whole.push(check.take(said.subarray(at, at + size)));
        at += size;
      }
      expect(Buffer.concat(whole)).toEqual(said);
    }),
  );
});
