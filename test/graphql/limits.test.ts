import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { getIntrospectionQuery } from 'graphql';
import { WebSocket } from 'ws';
import { type Answer, startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { AUTH, tokenFor } from '../support/tokens.js';
import { QUERY_LIMITS, type Shell, SOCKET_LIMITS, startShell } from './shell.js';

type Client = ReturnType<TestApp['as']>;

const quota = (quota: string, facts: object = {}) => ({
  errors: [{ extensions: { code: 'QUOTA_EXCEEDED', quota, ...facts } }],
});

describe('a query', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({
      REPLICA_ENGINE: 'embedded',
      GATEWAY_PORT: 'off',
      MAX_QUERY_TOKENS: '1000',
      MAX_QUERY_DEPTH: '6',
      MAX_QUERY_ALIASES: '3',
      MAX_QUERY_DIRECTIVES: '2',
      MAX_QUERY_COST: '1000',
    });
  });
  afterAll(() => app.app.close());

  /** The same over both transports. */
  async function ask(query: string, variables: Record<string, unknown> = {}): Promise<Answer> {
    const overHttp = await app.graphql(query, variables);
    const overWebSocket = await app
      .subscribe(query, variables)
      .next()
      .then(
        ({ value }) => value,
        (errors) => ({ errors }),
      );
    const [{ errors: one, data }, { errors: other, data: otherData }] = [overHttp, overWebSocket as Answer];
    expect([other?.[0]?.extensions, otherData ?? null]).toEqual([one?.[0]?.extensions, data ?? null]);
    return overHttp;
  }

  const aliases = (count: number) =>
    Array.from({ length: count }, (_, n) => `a${n}: chats(first: 1) { totalCount }`).join(' ');
  const include = (count: number) => Array.from({ length: count }, () => '__typename @include(if: true)').join(' ');

  test.each([
    ['depth', 6, '{ chats(first: 1) { edges { node { messages(first: 1) { nodes { id } } } } } }'],
    ['aliases', 3, `{ ${aliases(3)} }`],
    ['aliases in fragments', 2, `{ ...A } fragment A on Query { ...B } fragment B on Query { ${aliases(2)} }`],
    ['directives', 2, `{ ${include(2)} }`],
    ['cost', 803, '{ chats(first: 400) { nodes { id } } }'],
  ])('may have this much %s: %d', async (_what, _count, query) => {
    expect((await ask(query)).errors).toBeUndefined();
  });

  test.each([
    ['depth', 6, '{ chats(first: 1) { edges { node { messages(first: 1) { edges { node { id } } } } } } }'],
    [
      'depth',
      6,
      `{ chats(first: 1) { ...A } } fragment A on ChatConnection { edges { node { ...B } } }
      fragment B on Chat { messages(first: 1) { edges { node { id } } } }`,
    ],
    ['aliases', 3, `{ ${aliases(4)} }`],
    ['aliases', 3, `{ ...A ...B } fragment A on Query { ...B } fragment B on Query { ${aliases(2)} }`],
    ['directives', 2, `{ ${include(3)} }`],
    ['cost', 1_000, '{ chats(first: 500) { nodes { id } } }'],
    ['cost', 1_000, '{ chats(first: 1000000) { nodes { id } } }'],
    ['cost', 1_000, '{ chats { nodes { messages { nodes { id } } } } }'],
    ['cost', 1_000, '{ chats(first: 5) { nodes { replica { tables { columns { name type } } } } } }'],
    ['cost', 1_000, '{ ...A } fragment A on Query { ...B } fragment B on Query { chats(first: 500) { nodes { id } } }'],
  ])('is refused when it has more %s than %d: %s', async (what, limit, query) => {
    expect(await ask(query)).toMatchObject(quota(what, { limit }));
  });

  test('costs what its variables make of it, whatever else is wrong with it', async () => {
    const query = `query($n: Int!, $id: ID = "x") { chat(id: $id) { id } chats(first: $n) { nodes { id } } }`;
    expect((await ask(query, { n: 400 })).errors).toBeUndefined();
    expect(await ask(query, { n: 500 })).toMatchObject(quota('cost'));
    expect(await ask(query, { n: 500, id: null })).toMatchObject(quota('cost'));
  });

  test('of fragments in fragments is refused before it is counted to its end', async () => {
    const fragments = Array.from({ length: 30 }, (_, n) => `fragment f${n} on Query { ...f${n + 1} ...f${n + 1} }`);
    const query = `{ ...f0 } ${fragments.join(' ')} fragment f30 on Query { __typename }`;
    expect(await ask(query)).toMatchObject(quota('cost'));
  });

  test('has as many tokens as it may, and not one more', async () => {
    // The braces are two more.
    const codeOf = async (query: string) => (await ask(query)).errors?.[0]?.extensions.code;
    expect(await codeOf(`{ ${'nowhere '.repeat(998)} }`)).toBe('GRAPHQL_VALIDATION_FAILED');
    expect(await codeOf(`{ ${'nowhere '.repeat(999)} }`)).toBe('GRAPHQL_PARSE_FAILED');
  });

  test('for all of the schema is within any limits', async () => {
    expect((await ask(getIntrospectionQuery())).errors).toBeUndefined();
  });
});

describe('what is told of the schema', () => {
  const DISCREET = { ...QUERY_LIMITS, introspection: false, hints: false };
  let open: Shell;
  let discreet: Shell;
  beforeAll(async () => {
    open = await startShell();
    discreet = await startShell(undefined, { queryLimits: DISCREET });
  });
  afterAll(() => Promise.all([open.close(), discreet.close()]));

  /** Over HTTP, and over WebSocket. */
  async function messages({ port }: Shell, query: string, variables = {}): Promise<string> {
    const { ask, socket } = await connectedTo(port);
    const overHttp = await fetch(`http://127.0.0.1:${port}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    });
    const [message] = [await overHttp.text()];
    const answer = JSON.stringify(await ask({ query, variables }));
    socket.close();
    return `${message}\n${answer}`;
  }

  test.each([
    ['{ hell }', {}],
    ['{ hello(nam: "x") }', {}],
  ])('by hints in errors, or not: %s', async (query, variables) => {
    expect((await messages(open, query, variables)).match(/Did you mean/g)).toHaveLength(2);
    const discreetly = await messages(discreet, query, variables);
    expect(discreetly).not.toMatch(/Did you mean/);
    expect(discreetly.match(/Cannot query field|Unknown argument/g)).toHaveLength(2);
  });

  test('by introspection, or not', async () => {
    const query = '{ __schema { queryType { name } } }';
    expect((await messages(open, query)).match(/"name":"Query"/g)).toHaveLength(2);
    expect(await messages(discreet, query)).toMatch(
      /introspection has been disabled.*\n\n.*introspection has been disabled/,
    );
    expect(await messages(discreet, query)).not.toContain('"name":"Query"');
    expect((await messages(discreet, '{ __typename }')).match(/"__typename":"Query"/g)).toHaveLength(2);
  });
});

interface Message {
  readonly type: string;
  readonly id?: string;
  readonly payload?: unknown;
}

/** A socket of the bare protocol, connection_init done, of the user that `authorization` names. */
async function connectedTo(port: number, authorization?: string) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws');
  const received: Message[] = [];
  const closed = once(socket, 'close').then(([code, reason]) => [code, String(reason)]);
  socket.on('message', (data) => void received.push(JSON.parse(String(data))));
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }));
  await eventually('an answer', async () => received.length > 0 || socket.readyState !== WebSocket.OPEN);
  let asked = 0;
  const send = (payload: object) => {
    asked += 1;
    socket.send(JSON.stringify({ type: 'subscribe', id: `${asked}`, payload }));
    return `${asked}`;
  };
  const ask = async (payload: object) => {
    const id = send(payload);
    await eventually('an answer', async () => received.some((message) => message.id === id));
    return received.find((message) => message.id === id);
  };
  return { socket, received, closed, send, ask };
}

describe('WebSockets', () => {
  const shells: Shell[] = [];
  afterAll(() => Promise.all(shells.map((shell) => shell.close())));

  async function startWith(limits: Partial<typeof SOCKET_LIMITS>): Promise<Shell> {
    const shell = await startShell(undefined, {
      socketLimits: { ...SOCKET_LIMITS, ...limits },
      authenticator: { identify: async (owner = '') => ({ owner, expiresAt: undefined }) },
    });
    shells.push(shell);
    return shell;
  }

  test('are so many in all, and one more when one has gone', async () => {
    const { port } = await startWith({ all: 2 });
    const [first] = [await connectedTo(port, 'ada'), await connectedTo(port, 'bob')];
    const refused = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws').on('error', () => {});
    const [, response] = await once(refused, 'unexpected-response');
    expect([response.statusCode, await text(response)]).toEqual([503, expect.stringContaining('QUOTA_EXCEEDED')]);
    first.socket.close();
    await first.closed;
    await eventually('another is let in', async () => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws').on('error', () => {});
      const outcome = await Promise.race([once(socket, 'open'), once(socket, 'unexpected-response')]);
      return outcome.length === 0;
    });
  });

  test('are so many of one user, whoever else has some', async () => {
    const { port } = await startWith({ perUser: 2 });
    const [first] = [await connectedTo(port, 'ada'), await connectedTo(port, 'ada')];
    expect(await (await connectedTo(port, 'ada')).closed).toEqual([
      1013,
      expect.stringContaining('MAX_SOCKETS_PER_USER'),
    ]);
    expect((await connectedTo(port, 'bob')).received).toEqual([{ type: 'connection_ack' }]);
    first.socket.close();
    await first.closed;
    await eventually('another is let in', async () => (await connectedTo(port, 'ada')).received.length === 1);
  });

  test('run so many operations of one user, on however many sockets', async () => {
    const { port } = await startWith({ operationsPerUser: 3 });
    const [one, other, bob] = [
      await connectedTo(port, 'ada'),
      await connectedTo(port, 'ada'),
      await connectedTo(port, 'bob'),
    ];
    const forever = { query: 'subscription { forever }' };
    for (const { ask } of [one, one, other, bob]) expect(await ask(forever)).toMatchObject({ type: 'next' });
    expect(await other.ask(forever)).toMatchObject({
      type: 'error',
      payload: [{ extensions: { code: 'QUOTA_EXCEEDED', quota: 'operations', limit: 3 } }],
    });
    one.socket.send('{"type":"complete","id":"1"}');
    await eventually('one more', async () => (await other.ask(forever))?.type === 'next');
  });

  test('that are closed leave none of their operations behind, whatever could not be sent any more', async () => {
    const shell = await startWith({ operationsPerUser: 100, backlogBytes: 100_000_000 });
    const { socket, send, closed } = await connectedTo(shell.port, 'ada');
    socket.pause();
    for (let n = 0; n < 50; n++) send({ query: 'subscription { large(to: 1000000) }' });
    // Their answers wait behind.
    for (let n = 0; n < 50; n++) send({ query: '{ hello }' });
    await eventually('all have begun', async () => shell.contexts.length === 100);
    socket.terminate();
    await closed;
    const { ask } = await connectedTo(shell.port, 'ada');
    await eventually('none counts any more', async () => {
      for (let n = 0; n < 100; n++) {
        if ((await ask({ query: 'subscription { forever }' }))?.type !== 'next') return false;
      }
      return true;
    });
  });

  test('take messages of so many bytes', async () => {
    const { port } = await startWith({ messageBytes: 1_000 });
    const { ask, send, closed } = await connectedTo(port);
    const queryOf = (bytes: number) => ({ query: `{ hello }${' '.repeat(bytes)}` });
    expect(await ask(queryOf(900))).toMatchObject({ type: 'next' });
    send(queryOf(1_000));
    expect((await closed)[0]).toBe(1009);
  });

  test('of a client that reads take more than may wait for one that does not, which is dropped', async () => {
    const shell = await startWith({ backlogBytes: 1_000_000 });
    const large = { query: 'subscription { large(to: 200000) }' };
    const reading = await connectedTo(shell.port);
    for (let n = 0; n < 50; n++) await reading.ask(large);
    expect(reading.socket.readyState).toBe(WebSocket.OPEN);
    reading.socket.close();

    const { socket, send, closed } = await connectedTo(shell.port);
    socket.pause();
    for (let n = 0; n < 100; n++) send(large);
    await eventually('it is dropped', async () =>
      shell.log.some(({ msg }) => /a WebSocket client was dropped/.test(`${msg}`)),
    );
    await eventually('its operations end', async () => shell.contexts.every(({ signal }) => signal.aborted));
    socket.resume();
    expect([1006, 1013]).toContain((await closed)[0]);
  });
});

test('connections are so many at a time', async () => {
  const shell = await startShell(undefined, { maxConnections: 2 });
  const open = () => connect(shell.port, '127.0.0.1');
  const healthy = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const [one, other] = [open(), open()];
  for (const socket of [one, other]) {
    socket.write(healthy);
    expect(String((await once(socket, 'data'))[0])).toContain('200 OK');
  }
  const third = open();
  third.on('error', () => {}).write(healthy);
  await once(third, 'close');
  expect(third.bytesRead).toBe(0);
  one.destroy();
  other.destroy();
  await shell.close();
});

describe('in the environment', () => {
  const started: TestApp[] = [];
  afterAll(() => Promise.all(started.map(({ app }) => app.close())));

  async function startWith(env: Record<string, string>): Promise<TestApp> {
    const app = await startApp({ REPLICA_ENGINE: 'embedded', GATEWAY_PORT: 'off', ...env });
    started.push(app);
    return app;
  }

  test.each<[string, string, (app: TestApp) => Promise<unknown>, unknown]>([
    [
      'MAX_SOCKETS',
      '1',
      async ({ port }) => {
        await connectedTo(port);
        const refused = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws').on('error', () => {});
        return (await once(refused, 'unexpected-response'))[1].statusCode;
      },
      503,
    ],
    [
      'MAX_SOCKETS_PER_USER',
      '1',
      async ({ port }) => {
        await connectedTo(port);
        return (await (await connectedTo(port)).closed)[0];
      },
      1013,
    ],
    [
      'MAX_SOCKET_OPERATIONS',
      '1',
      async (app) => {
        const { send, ask } = await connectedTo(app.port);
        send(await watching(app));
        return (await ask({ query: '{ __typename }' }))?.payload;
      },
      [expect.objectContaining({ message: expect.stringContaining('one connection runs at most 1 operations') })],
    ],
    [
      'MAX_OPERATIONS_PER_USER',
      '1',
      async (app) => {
        const [one, other] = [await connectedTo(app.port), await connectedTo(app.port)];
        one.send(await watching(app));
        return (await other.ask({ query: '{ __typename }' }))?.payload;
      },
      [expect.objectContaining({ message: expect.stringContaining('one user runs at most 1 operations') })],
    ],
    [
      'MAX_SOCKET_MESSAGE_BYTES',
      '1k',
      async ({ port }) => {
        const { send, closed } = await connectedTo(port);
        send({ query: `{ __typename }${' '.repeat(1024)}` });
        return (await closed)[0];
      },
      1009,
    ],
    [
      'MAX_CONNECTIONS',
      '1',
      async ({ port }) => {
        const first = connect(port, '127.0.0.1');
        await once(first, 'connect');
        const second = connect(port, '127.0.0.1').on('error', () => {});
        await once(second, 'close');
        first.destroy();
        return second.bytesRead;
      },
      0,
    ],
    [
      'MAX_UPLOAD_BYTES',
      '1k',
      async (app) => {
        const { errors } = await app.upload(await app.createChat(), '-- '.padEnd(2048, 'x'));
        return errors?.[0]?.extensions.code;
      },
      'PAYLOAD_TOO_LARGE',
    ],
    [
      'BODY_TIMEOUT',
      '1s',
      async ({ port }) => {
        const client = connect(port, '127.0.0.1').on('error', () => {});
        client.write(
          'POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
        );
        await once(client.resume(), 'close');
        return 'cut off';
      },
      'cut off',
    ],
  ])('%s is %s, and no more', async (name, value, goOver, refusal) => {
    expect(await goOver(await startWith({ [name]: value }))).toEqual(refusal);
  });

  async function watching(app: TestApp): Promise<object> {
    return { query: `subscription { messageAdded(chatId: "${await app.createChat()}") { id } }` };
  }
});

describe('in a time, a user has so many', () => {
  const RATES = { RATE_CHATS: '2/1h', RATE_MESSAGES: '2/1h', RATE_QUERIES: '2/1h', RATE_UPLOADS: '2/1h' };
  const QUICK = { REPLICA_ENGINE: 'embedded', GATEWAY_PORT: 'off' };
  let app: TestApp;
  let alone: TestApp;
  beforeAll(async () => {
    app = await startApp({ ...AUTH, ...RATES, ...QUICK });
    alone = await startApp({ ...RATES, ...QUICK });
  });
  afterAll(() => Promise.all([app.app.close(), alone.app.close()]));

  /** None of them needs to succeed in order to count. */
  const CALLS: [string, (client: Client) => Promise<Answer>][] = [
    ['chats', (client) => client.graphql(`mutation { createChat(input: ${CHAT}) { id } }`)],
    ['messages', (client) => client.graphql(`mutation { postMessage(input: ${MESSAGE}) { id } }`)],
    ['queries', (client) => client.runQuery('x', 'select 1')],
    ['uploads', (client) => client.upload('x', 'select 1;')],
  ];

  test.each(CALLS)('%s', async (kind, call) => {
    const [ada, bob] = [app.as(await tokenFor('ada')), app.as(await tokenFor('bob'))];
    const codeOf = async (client: Client) => (await call(client)).errors?.[0]?.extensions.code;
    for (const client of [ada, ada, bob]) expect(await codeOf(client)).not.toBe('QUOTA_EXCEEDED');
    const { errors } = await call(ada);
    expect(errors).toEqual([
      expect.objectContaining({
        message: expect.stringMatching(/^a user has 2 \w+ in 3600 s \(RATE_[A-Z]+\); try again in \d+ s$/),
        extensions: { code: 'QUOTA_EXCEEDED', quota: kind, limit: 2, retryAfterSeconds: expect.any(Number) },
      }),
    ]);
    expect(await codeOf(bob)).not.toBe('QUOTA_EXCEEDED');
  });

  test.each(CALLS)('%s, unless the server is his alone', async (_kind, call) => {
    for (let n = 0; n < 3; n++) expect((await call(alone)).errors?.[0]?.extensions.code).not.toBe('QUOTA_EXCEEDED');
  });
});

const CHAT = '{ name: "Test", host: "db.test", user: "app", password: "s3cret", database: "shop" }';
const MESSAGE = '{ chatId: "x", role: USER, content: { text: "x" } }';
