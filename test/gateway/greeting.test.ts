import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { createApp } from '../../src/app.js';
import { loadConfig } from '../../src/config.js';
import { newId } from '../../src/domain/ids.js';
import { EmbeddedEngine } from '../../src/engines/embedded.js';
import { MemoryEventBus } from '../../src/events/memory.js';
import { Gateway, type GatewayOptions } from '../../src/gateway/gateway.js';
import { ReplicaService } from '../../src/services/replicas.js';
import { MemoryChatStore } from '../../src/stores/memory.js';
import { MemoryRegistry } from '../../src/stores/memory-registry.js';
import { eventually } from '../support/eventually.js';
import { Inspector } from '../support/inspector.js';
import { RawClient } from '../support/postgres-clients.js';
import { buildServer, ServerProcess } from '../support/server-process.js';

const [SSL, GSS, CANCEL] = [80877103, 80877104, 80877102];
const KiB = 1024;

const logger = pino({ level: 'silent' });
const opened: Gateway[] = [];
let replicas: ReplicaService;
let engine: EmbeddedEngine;
let folder: string;
let tls: { cert: string; key: string };

beforeAll(async () => {
  engine = new EmbeddedEngine({ instance: newId(), memoryBytes: 256 * KiB * KiB, logger });
  const limits = {
    quotas: {
      maxReplicas: 1,
      maxReplicasPerOwner: undefined,
      memory: { bytes: 1, maxBytes: undefined },
      disk: { bytes: 1, maxBytes: undefined },
    },
    spoolBytes: 1,
    restoreTimeoutMs: 1,
    maxUnpackedBytes: 1,
    ttlSeconds: null,
  };
  replicas = new ReplicaService(
    new MemoryChatStore(),
    new MemoryEventBus(),
    new MemoryRegistry(),
    engine,
    newId(),
    limits,
    () => undefined,
    logger,
  );
  folder = await mkdtemp(join(tmpdir(), 'tls-'));
  tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const files = ['-keyout', tls.key, '-out', tls.cert];
  await promisify(execFile)('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...files, ...subject]);
});
afterEach(async () => {
  for (const gateway of opened.splice(0)) await gateway.close();
});
afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true });
});

/** No chat is there: nobody comes further than the StartupMessage. */
async function open(options: Partial<GatewayOptions> = {}): Promise<number> {
  const gateway = new Gateway({
    replicas,
    logger,
    host: '127.0.0.1',
    port: 0,
    clientHost: undefined,
    secureContext: undefined,
    maxConnections: 2000,
    ...options,
  });
  opened.push(gateway);
  await gateway.listen();
  return gateway.address?.port as number;
}

async function secureContext() {
  return createSecureContext({ cert: await readFile(tls.cert), key: await readFile(tls.key) });
}

const NO_REPLICA = {
  S: 'FATAL',
  V: 'FATAL',
  C: '28000',
  M: 'there is no replica for user "app.nobody"',
  H: 'Connect with what the query credentials(chatId, target: REPLICA) gives; its user is role.chatId.',
};

describe('a client without TLS', () => {
  test('is told no, twice, and may go on in the clear', async () => {
    const client = await RawClient.connect(await open());
    client.send(GSS);
    await eventually('it is refused', async () => client.bytes.toString() === 'N');
    client.send(SSL);
    await eventually('it is refused', async () => client.bytes.toString() === 'NN');
    client.startup({ user: 'app.nobody', database: 'shop' });
    await client.closed;
    expect(client.error).toEqual(NO_REPLICA);
  });

  test('that asks again is told that it is no protocol', async () => {
    const client = await RawClient.connect(await open());
    client.send(SSL);
    await eventually('it is refused', async () => client.bytes.toString() === 'N');
    client.send(SSL);
    await client.closed;
    expect(client.error).toMatchObject({ C: '0A000' });
  });

  test('may send byte by byte', async () => {
    const client = await RawClient.connect(await open());
    const packet = Buffer.from('00000008', 'hex');
    const code = Buffer.alloc(4);
    code.writeUInt32BE(SSL);
    for (const byte of Buffer.concat([packet, code])) {
      client.socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await eventually('it is refused', async () => client.bytes.toString() === 'N');
  });

  test.each([
    ['a user without a chat', { user: 'postgres' }, '28000', /^there is no replica for user "postgres"$/],
    ['a chat without a user', { user: '.nobody' }, '28000', /^there is no replica for user "\.nobody"$/],
    ['an unknown chat', { user: 'größe.nobody' }, '28000', /^there is no replica for user "größe\.nobody"$/],
    ['no user', { database: 'shop' }, '28000', /^no PostgreSQL user name specified/],
  ])('that gives %s is refused', async (_what, parameters: Record<string, string>, sqlstate, message) => {
    const client = await RawClient.connect(await open());
    client.startup(parameters);
    await client.closed;
    expect(client.error).toMatchObject({ S: 'FATAL', C: sqlstate, M: expect.stringMatching(message) });
  });

  test.each<[string, (client: RawClient) => void, string]>([
    ['does not wait for an answer', (client) => [SSL, SSL].forEach((code) => void client.send(code)), '08P01'],
    ['speaks protocol 2', (client) => client.startup({ user: 'a' }, 0x20000), '0A000'],
    ['ends its packet wrongly', (client) => client.send(0x30000, 'user\0app'), '08P01'],
  ])('that %s is told so', async (_what, speak, sqlstate) => {
    const client = await RawClient.connect(await open());
    speak(client);
    await client.closed;
    expect(client.error).toMatchObject({ S: 'FATAL', C: sqlstate });
  });

  test.each<[string, Buffer]>([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')],
    ['TLS', Buffer.from('1603010200010001fc0303', 'hex')],
    ['zeros', Buffer.alloc(100)],
    ['too long a packet', Buffer.from('0000271500030000', 'hex')],
    ['too short a packet', Buffer.from('00000007', 'hex')],
    ['a CancelRequest without a key', Buffer.from('0000000804d2162e', 'hex')],
  ])('that speaks %s is let go without a word', async (_what, bytes) => {
    const client = await RawClient.connect(await open());
    client.socket.write(bytes);
    await client.closed;
    expect(client.bytes).toHaveLength(0);
  });

  test('that cancels with an unknown key hears nothing', async () => {
    const client = await RawClient.connect(await open());
    client.send(CANCEL, Buffer.alloc(8, 1));
    await client.closed;
    expect(client.bytes).toHaveLength(0);
  });

  test('that says nothing, or half of it, is let go in time', async () => {
    const port = await open({ startMs: 200 });
    const silent = await RawClient.connect(port);
    const half = await RawClient.connect(port);
    half.socket.write('\0\0');
    await Promise.all([silent.closed, half.closed]);
  });

  test('that goes away in the middle leaves nothing', async () => {
    const port = await open({ maxConnections: 3 });
    for (let round = 0; round < 30; round++) {
      const client = await RawClient.connect(port);
      client.send(GSS);
      await eventually('it is answered', async () => client.bytes.length === 1);
      client.socket.write('\0\0\0');
      if (round % 2) client.socket.resetAndDestroy();
      else client.socket.destroy();
    }
    // With one left behind of ten, this one would be too many.
    await eventually('there is room again', async () => {
      const client = await RawClient.connect(port);
      client.startup({ user: 'app.nobody' });
      await client.closed;
      return client.error?.C === '28000';
    });
  });
});

describe('many clients', () => {
  test('are told when they are too many', async () => {
    const port = await open({ maxConnections: 2 });
    await RawClient.connect(port);
    await RawClient.connect(port);
    const third = await RawClient.connect(port);
    third.startup({ user: 'app.nobody' });
    await third.closed;
    expect(third.error).toMatchObject({ C: '53300', H: expect.stringContaining('GATEWAY_MAX_CONNECTIONS') });
  });

  test('cost little while they are idle: 1,000 of them', async () => {
    const build = await buildServer();
    const env = { REPLICA_ENGINE: 'embedded', REPLICA_WARM: '0', GATEWAY_PORT: '0' };
    // Nothing else happens in this process, and it has no other end of them than the server's.
    const server = await ServerProcess.start(build, { ...env, NODE_OPTIONS: '--inspect=127.0.0.1:0' });
    const inspector = await Inspector.connect(server);
    const clients: Socket[] = [];
    const cost = async (count: number) => {
      const [bytes, sockets] = [await inspector.heldBytes(), await inspector.sockets()];
      for (let more = 0; more < count; more++) clients.push(connectTcp(server.gatewayPort, '127.0.0.1'));
      await eventually('all are accepted', async () => (await inspector.sockets()) === sockets + count);
      return (await inspector.heldBytes()) - bytes;
    };
    try {
      // The first ones have made what all of them share: compiled code, lists of timers.
      await cost(10);
      const each = (await cost(1000)) / 1000;
      process.stdout.write(`\nan idle connection takes ${(each / KiB).toFixed(1)} KiB of the server's memory\n`);
      expect(each).toBeGreaterThan(KiB);
      expect(each).toBeLessThan(16 * KiB);
    } finally {
      for (const client of clients) client.on('error', () => {}).destroy();
      inspector.close();
      await server.shutDown();
      await build.remove();
    }
  });
});

describe('a client with TLS', () => {
  test('is let in by an SSLRequest, once', async () => {
    const port = await open({ secureContext: await secureContext() });
    const client = await RawClient.connect(port);
    client.send(SSL);
    await eventually('it may', async () => client.bytes.toString() === 'S');
    client.socket.removeAllListeners('data');
    const secure = connectTls({ socket: client.socket, ca: await readFile(tls.cert), servername: 'localhost' });
    const received: Buffer[] = [];
    secure.on('data', (chunk) => received.push(chunk)).on('error', () => {});
    await once(secure, 'secureConnect');
    secure.write(Buffer.from('0000000804d2162f', 'hex'));
    await once(secure, 'close');
    expect(Buffer.concat(received).toString()).toContain('C0A000\0');
  });

  test('may begin with TLS at once, when it says that it is for PostgreSQL', async () => {
    const port = await open({ secureContext: await secureContext() });
    const options = { host: '127.0.0.1', port, ca: await readFile(tls.cert), servername: 'localhost' };
    const secure = connectTls({ ...options, ALPNProtocols: ['postgresql'] });
    secure.on('error', () => {});
    await once(secure, 'secureConnect');
    expect(secure.alpnProtocol).toBe('postgresql');
    secure.write(startup('app.nobody'));
    const [answer] = await once(secure, 'data');
    expect(String(answer)).toContain('there is no replica for user "app.nobody"');

    const other = connectTls({ ...options });
    other.on('error', () => {});
    other.write(startup('app.nobody'));
    const answers: Buffer[] = [];
    other.on('data', (chunk) => answers.push(chunk));
    await once(other, 'close');
    expect(Buffer.concat(answers)).toHaveLength(0);
  });

  test('that says something in the clear before TLS is refused', async () => {
    const client = await RawClient.connect(await open({ secureContext: await secureContext() }));
    client.socket.write(Buffer.concat([Buffer.from('0000000804d2162f', 'hex'), startup('app.nobody')]));
    await client.closed;
    expect(client.error).toMatchObject({ C: '08P01', M: 'received unencrypted data after SSL request' });
  });

  test('that breaks its handshake leaves the others alone', async () => {
    const port = await open({ secureContext: await secureContext() });
    const client = await RawClient.connect(port);
    client.send(SSL);
    await eventually('it may', async () => client.bytes.toString() === 'S');
    client.socket.write('this is no handshake at all');
    await client.closed;
    const next = await RawClient.connect(port);
    next.send(GSS);
    await eventually('it is answered', async () => next.bytes.toString() === 'N');
  });

  test('needs files that fit together', async () => {
    const other = join(folder, 'other.pem');
    await writeFile(other, 'nothing');
    for (const files of [
      { GATEWAY_TLS_CERT: join(folder, 'absent.pem'), GATEWAY_TLS_KEY: tls.key },
      { GATEWAY_TLS_CERT: tls.cert, GATEWAY_TLS_KEY: other },
    ]) {
      const starting = createApp(loadConfig({ REPLICA_ENGINE: 'embedded', ...files }), logger);
      await expect(starting).rejects.toMatchObject({
        name: 'ConfigError',
        message: expect.stringMatching(/^GATEWAY_TLS_CERT and GATEWAY_TLS_KEY: .+$/),
      });
    }
  });
});

describe('the port', () => {
  test('is 5433 or, where that is taken, a free one; one that is asked for must be free', async () => {
    const [first, second] = [await open({ port: 'auto' }), await open({ port: 'auto' })];
    // Another server may have had 5433 when the first one asked, and have left it since.
    expect(second).not.toBe(first);
    const gateway = new Gateway({
      replicas,
      logger,
      host: '127.0.0.1',
      port: second,
      clientHost: 'db.example.com',
      secureContext: undefined,
      maxConnections: 1,
    });
    await expect(gateway.listen()).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(gateway.address).toBeUndefined();
  });

  test('is told with the name that clients know', async () => {
    const port = await open({ clientHost: 'db.example.com' });
    expect(opened[0]?.address).toEqual({ host: 'db.example.com', port });
    await open({ host: '0.0.0.0' });
    expect(opened[1]?.address?.host).toBe('localhost');
  });
});

function startup(user: string): Buffer {
  const rest = Buffer.from(`user\0${user}\0\0`);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + rest.length);
  head.writeUInt32BE(0x30000, 4);
  return Buffer.concat([head, rest]);
}
