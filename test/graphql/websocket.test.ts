import { once } from 'node:events';
import { connect as connectTo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Client, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { eventually, type Shell, startShell } from './shell.js';

let shell: Shell;
beforeAll(async () => {
  shell = await startShell();
});
afterAll(() => shell.close());

async function withClient<T>(use: (client: Client) => Promise<T>): Promise<T> {
  const client = createClient({ url: endpoint(), webSocketImpl: WebSocket, retryAttempts: 0 });
  try {
    return await use(client);
  } finally {
    await client.dispose();
  }
}

function endpoint(path = '/graphql', { port } = shell): string {
  return `ws://127.0.0.1:${port}${path}`;
}

/** Everything that the server sends for one operation: results, then the errors that ended it, if any. */
function run(query: string, variables?: Record<string, unknown>): Promise<unknown[]> {
  return withClient(async (client) => {
    const received: unknown[] = [];
    try {
      for await (const result of client.iterate({ query, variables })) received.push(result);
    } catch (errors) {
      received.push({ ended: errors });
    }
    return received;
  });
}

interface Message {
  type: string;
  id?: string;
  payload?: unknown;
}

/** A socket of the bare protocol, connection_init done. */
async function connect(to = shell): Promise<{ socket: WebSocket; received: Message[] }> {
  const socket = new WebSocket(endpoint('/graphql', to), 'graphql-transport-ws');
  const received: Message[] = [];
  socket.on('message', (data) => void received.push(JSON.parse(String(data))));
  await once(socket, 'open');
  socket.send('{"type":"connection_init"}');
  await eventually('connection_ack', () => received.length > 0);
  received.length = 0;
  return { socket, received };
}

function subscribe(socket: WebSocket, id: string, query: string): void {
  socket.send(JSON.stringify({ type: 'subscribe', id, payload: { query } }));
}

const INTERNAL = {
  message: 'Internal server error',
  extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: expect.any(String) },
};

describe('operations', () => {
  test('a subscription yields its values and completes', async () => {
    expect(await run('subscription { count(to: 2) }')).toEqual([{ data: { count: '1' } }, { data: { count: '2' } }]);
  });

  test('a query and a mutation work as well', async () => {
    expect(await run('query ($n: String) { hello(name: $n) }', { n: 'x' })).toEqual([{ data: { hello: 'hello x' } }]);
    const [{ ended }] = (await run('mutation ($f: Upload!) { upload(file: $f) }', { f: 'x' })) as [{ ended: unknown }];
    expect(ended).toBeUndefined();
  });

  test('an operation is logged when it is done', async () => {
    await run('subscription { count(to: 1) }');
    await eventually('the log line', () => shell.log.some(({ method }) => method === 'WS'));
    expect(shell.log.find(({ method }) => method === 'WS')).toMatchObject({ path: '/graphql', ms: expect.any(Number) });
  });
});

describe('errors', () => {
  test('of a field', async () => {
    expect(await run('{ broken }')).toEqual([{ data: null, errors: [expect.objectContaining(INTERNAL)] }]);
    expect(await run('subscription { brokenField }')).toEqual([
      { data: null, errors: [expect.objectContaining(INTERNAL)] },
    ]);
  });

  test('of the initial subscribe', async () => {
    expect(await run('subscription { refused }')).toMatchObject([
      { errors: [{ message: 'There is no chat "x".', extensions: { code: 'NOT_FOUND' } }] },
    ]);
  });

  test('of a subscription in the middle', async () => {
    expect(await run('subscription { refusedLater }')).toEqual([
      { data: { refusedLater: '1' } },
      { ended: [{ message: 'It went away.', extensions: { code: 'REPLICA_NOT_READY', state: 'EXPIRED' } }] },
    ]);
    expect(await run('subscription { brokenLater }')).toEqual([{ data: { brokenLater: '1' } }, { ended: [INTERNAL] }]);
  });

  test.each([
    ['{ hello', 'GRAPHQL_PARSE_FAILED'],
    ['{ nowhere }', 'GRAPHQL_VALIDATION_FAILED'],
    [`{ ${'hello '.repeat(5_001)} }`, 'GRAPHQL_PARSE_FAILED'],
  ])('of the document %.20s', async (query, code) => {
    expect(await run(query)).toMatchObject([{ ended: [{ extensions: { code } }] }]);
  });

  test('of a variable', async () => {
    expect(await run('query ($n: String!) { hello(name: $n) }', { n: 1 })).toMatchObject([
      { errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] },
    ]);
  });
});

describe('the signal of an operation', () => {
  test('aborts when the client unsubscribes, and nothing more is sent or logged as an error', async () => {
    const { socket, received } = await connect();
    subscribe(socket, 'a', 'subscription { forever }');
    await eventually('the first value', () => received.length > 0);
    const { signal, requestId } = shell.contexts.at(-1) ?? {};
    socket.send('{"type":"complete","id":"a"}');
    await eventually('the end', () => shell.log.some((line) => line.requestId === requestId));
    expect(signal?.aborted).toBe(true);
    expect(received).toEqual([{ id: 'a', type: 'next', payload: { data: { forever: 'started' } } }]);
    expect(shell.log.filter((line) => line.requestId === requestId)).toEqual([expect.objectContaining({ level: 30 })]);
    socket.close();
  });

  test('aborts for a query that is still running', async () => {
    const { socket } = await connect();
    const before = shell.contexts.length;
    subscribe(socket, 'q', '{ untilAborted }');
    await eventually('the query', () => shell.contexts.length > before);
    socket.send('{"type":"complete","id":"q"}');
    await eventually('the abort', () => shell.contexts.at(-1)?.signal?.aborted === true);
    socket.close();
  });

  test('aborts when the socket closes', async () => {
    const { socket, received } = await connect();
    subscribe(socket, 'a', 'subscription { forever }');
    await eventually('the first value', () => received.length > 0);
    socket.terminate();
    await eventually('the abort', () => shell.contexts.at(-1)?.signal?.aborted === true);
  });
});

describe('limits', () => {
  test('the 101st operation of a socket is refused, and the others go on', async () => {
    const { socket, received } = await connect();
    const first = shell.contexts.length;
    for (let n = 1; n <= 101; n++) subscribe(socket, `${n}`, 'subscription { forever }');
    await eventually('101 messages', () => received.length === 101);
    const tooMany = { code: 'QUOTA_EXCEEDED', quota: 'operations', limit: 100 };
    expect(received.filter(({ type }) => type === 'error')).toEqual([
      { id: '101', type: 'error', payload: [expect.objectContaining({ extensions: tooMany })] },
    ]);
    socket.send('{"type":"complete","id":"1"}');
    await eventually('one less', () => shell.contexts[first]?.signal?.aborted === true);
    subscribe(socket, '102', 'subscription { count(to: 1) }');
    await eventually('the next one', () => received.some(({ id, type }) => id === '102' && type === 'complete'));
    socket.close();
  });

  test('a message over 64 kB closes the socket', async () => {
    const { socket } = await connect();
    subscribe(socket, 'a', `{ hello }${' '.repeat(65_536)}`);
    expect((await once(socket, 'close'))[0]).toBe(1009);
  });

  test('a message that is none closes the socket', async () => {
    const { socket } = await connect();
    socket.send('hello');
    expect((await once(socket, 'close'))[0]).toBe(4400);
  });
});

describe('who may connect', () => {
  async function refusal(path: string, headers: Record<string, string>): Promise<number | undefined> {
    const socket = new WebSocket(endpoint(path), 'graphql-transport-ws', { headers });
    const [, response] = await Promise.race([once(socket, 'unexpected-response'), once(socket, 'open')]);
    socket.on('error', () => {});
    socket.terminate();
    return response?.statusCode;
  }

  test.each<[string, Record<string, string>, number | undefined]>([
    ['a program', {}, undefined],
    ['a page of localhost', { origin: 'http://localhost:5173' }, undefined],
    ['a page of an allowed origin', { origin: 'https://studio.apollographql.com' }, undefined],
    ['a page of the server', { host: 'replichat.test', origin: 'https://replichat.test' }, undefined],
    ['a page of elsewhere', { origin: 'https://evil.example' }, 403],
    ['a page without origin', { origin: 'null' }, 403],
    ['a page whose name was rebound', { host: 'evil.example', origin: 'http://evil.example' }, 421],
  ])('%s', async (_who, headers, status) => {
    expect(await refusal('/graphql', headers)).toBe(status);
  });

  test('nobody elsewhere than on /graphql', async () => {
    expect(await refusal('/other', {})).toBe(404);
  });
});

test('a client that is refused cannot hold its connection', async () => {
  const client = connectTo({ port: shell.port, host: '127.0.0.1', allowHalfOpen: true });
  client.on('error', () => {});
  client.write(
    `GET /other HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  client.resume();
  await once(client, 'end');
  await eventually('nobody answers', () => {
    client.write('x');
    return client.destroyed;
  });
});

test('close ends the subscriptions and tells their clients', async () => {
  const other = await startShell();
  const { socket } = await connect(other);
  subscribe(socket, 'a', 'subscription { forever }');
  await eventually('the subscription', () => other.contexts.length > 0);
  const [[code]] = await Promise.all([once(socket, 'close'), other.close()]);
  expect(code).toBe(1001);
  expect(other.contexts.at(-1)?.signal?.aborted).toBe(true);
});
