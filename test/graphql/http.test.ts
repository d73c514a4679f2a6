import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { answerOf, eventually, type Shell, startShell } from './shell.js';

let shell: Shell;
beforeAll(async () => {
  shell = await startShell();
});
afterAll(() => shell.close());

function post(body: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${shell.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
}

async function ask(query: string, variables?: object) {
  const response = await post(JSON.stringify({ query, variables }));
  return answerOf(response);
}

/** fetch lets nobody choose the Host header. */
async function raw(head: string): Promise<string> {
  const socket = connect(shell.port, '127.0.0.1');
  socket.end(`${head}\r\nConnection: close\r\n\r\n`);
  return text(socket);
}

describe('errors', () => {
  test('a ReplichatError is told in its own words, with its facts', async () => {
    expect(await ask('{ refused }')).toEqual({
      data: null,
      errors: [
        {
          message: 'There is no chat "x".',
          locations: [{ line: 1, column: 3 }],
          path: ['refused'],
          extensions: { code: 'NOT_FOUND', chatId: 'x' },
        },
      ],
    });
  });

  test.each(['broken', 'nothing'])('of an error of our own (%s) a client learns only the request id', async (field) => {
    const { errors } = await ask(`{ ${field} }`);
    const requestId = errors[0]?.extensions.requestId;
    expect(errors[0]).toMatchObject({
      message: 'Internal server error',
      extensions: { code: 'INTERNAL_SERVER_ERROR', requestId },
    });
    expect(JSON.stringify(errors)).not.toMatch(/hunter2|stack/);
    const logged = shell.log.filter((line) => line.level === 50 && line.requestId === requestId);
    expect(logged).toHaveLength(1);
  });

  test.each([
    ['{ hello', undefined, 'GRAPHQL_PARSE_FAILED'],
    ['{ nowhere }', undefined, 'GRAPHQL_VALIDATION_FAILED'],
    ['query ($n: Int!) { hello }', { n: 'x' }, 'GRAPHQL_VALIDATION_FAILED'],
    ['query ($n: String!) { hello(name: $n) }', { n: 1 }, 'BAD_USER_INPUT'],
    ['mutation ($f: Upload!) { upload(file: $f) }', { f: 'x' }, 'BAD_USER_INPUT'],
    ['query A { hello } query B { hello }', undefined, 'OPERATION_RESOLUTION_FAILURE'],
    ['subscription { count(to: 1) }', undefined, 'BAD_USER_INPUT'],
  ])('%.50s %j is the fault of the request: %s', async (query, variables, code) => {
    const { errors } = await ask(query, variables);
    expect(errors[0]?.extensions.code).toBe(code);
  });

  test('a document of too many tokens is not even parsed', async () => {
    const { errors } = await ask('{a}'.repeat(2_000));
    expect(errors[0]?.message).toContain('5000 tokens');
    expect(errors[0]?.extensions.code).toBe('GRAPHQL_PARSE_FAILED');
  });

  test.each([
    ['malformed JSON', '{"query":', {}, 400, 'BAD_USER_INPUT'],
    ['an unknown charset', '{}', { 'content-type': 'application/json; charset=x-mac' }, 415, 'BAD_USER_INPUT'],
    ['a body over the limit', JSON.stringify({ query: 'x'.repeat(20_000) }), {}, 413, 'PAYLOAD_TOO_LARGE'],
    ['a batch', '[{"query":"{hello}"}]', {}, 400, 'BAD_REQUEST'],
    ['no JSON at all', 'hello', { 'content-type': 'text/plain' }, 400, 'BAD_REQUEST'],
  ])('%s is refused in JSON', async (_what, body, headers, status, code) => {
    const response = await post(body, headers);
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    const { errors } = await answerOf(response);
    expect(errors).toEqual([{ message: expect.any(String), extensions: expect.objectContaining({ code }) }]);
    expect(JSON.stringify(errors)).not.toMatch(/stack|node_modules/);
  });

  test('a route that is none is refused in JSON', async () => {
    const response = await fetch(`${shell.url}/nowhere`);
    expect(response.status).toBe(404);
    expect(await answerOf(response)).toEqual({
      errors: [{ message: 'There is nothing at /nowhere.', extensions: { code: 'NOT_FOUND' } }],
    });
  });
});

describe('the Host header', () => {
  test.each([
    'localhost',
    'LOCALHOST:4000',
    'replichat.localhost:4000',
    '127.0.0.1',
    '10.1.2.3:80',
    '[::1]:4000',
    'replichat.test',
  ])('%s is answered', async (host) => {
    expect(await raw(`GET /healthz HTTP/1.1\r\nHost: ${host}`)).toMatch(/^HTTP\/1.1 200 /);
  });

  test.each([
    'evil.example',
    'localhost.evil.example',
    'evil.example:4000',
    '127.0.0.1.evil.example',
    '',
    'a b',
    '[::1].x',
  ])('"%s" is refused', async (host) => {
    const answer = await raw(`GET /healthz HTTP/1.1\r\nHost: ${host}`);
    expect(answer).toMatch(/^HTTP\/1.1 421 /);
    expect(answer).toContain('"code":"HOST_NOT_ALLOWED"');
  });
});

describe('CORS', () => {
  const preflight = (origin: string) =>
    fetch(`${shell.url}/graphql`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,apollo-require-preflight,x-apollo-operation-name',
      },
    });

  test.each([
    'http://localhost:5173',
    'https://localhost',
    'http://127.0.0.1:3000',
    'http://[::1]:3000',
    'https://studio.apollographql.com',
  ])('a page of %s may use the API', async (origin) => {
    const { headers } = await preflight(origin);
    expect(headers.get('access-control-allow-origin')).toBe(origin);
    expect(headers.get('access-control-allow-methods')).toContain('POST');
    for (const name of ['content-type', 'apollo-require-preflight', 'x-apollo-operation-name']) {
      expect(headers.get('access-control-allow-headers')).toContain(name);
    }
  });

  test('a page of the server itself may, under the name that it is reached by', async () => {
    const own = await raw('GET /healthz HTTP/1.1\r\nHost: replichat.test\r\nOrigin: https://replichat.test');
    expect(own).toMatch(/access-control-allow-origin: https:\/\/replichat.test/i);
  });

  test.each(['https://evil.example', 'null', 'http://localhost.evil.example', 'file://localhost', 'garbage'])(
    'a page of %s may not',
    async (origin) => {
      const { headers } = await preflight(origin);
      expect(headers.get('access-control-allow-origin')).toBeNull();
    },
  );

  test('a form of any page is refused for want of the header that forms cannot send', async () => {
    const response = await fetch(`${shell.url}/graphql?query={hello}`);
    expect(response.status).toBe(400);
    expect((await answerOf(response)).errors[0]?.extensions.code).toBe('BAD_REQUEST');
  });
});

test('a browser that opens the endpoint is sent to GraphiQL, a program is not', async () => {
  const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';
  const browser = await fetch(`${shell.url}/graphql`, { headers: { accept }, redirect: 'manual' });
  expect([browser.status, browser.headers.get('location')]).toEqual([302, '/graphiql']);
  const program = await fetch(`${shell.url}/graphql`, { redirect: 'manual' });
  expect(program.status).toBe(400);
});

test('/healthz tells what the server adds to it', async () => {
  const response = await fetch(`${shell.url}/healthz`);
  expect(await answerOf(response)).toEqual({ status: 'ok', engine: 'none' });
});

test('further routes come after the own ones, and their errors are told like all others', async () => {
  const other = await startShell(undefined, {
    routes: (request, response, next) => {
      if (request.path === '/broken') throw new Error('password=hunter2');
      if (request.path !== '/metrics') return next();
      response.send('up 1');
    },
  });
  expect(await (await fetch(`${other.url}/metrics`)).text()).toBe('up 1');
  expect((await fetch(`${other.url}/nowhere`)).status).toBe(404);
  const { errors } = await answerOf(fetch(`${other.url}/broken`));
  expect(errors[0]).toMatchObject({ message: 'Internal server error', extensions: { code: 'INTERNAL_SERVER_ERROR' } });
  await other.close();
});

test('a request is logged with its operation, and with nothing that it carries', async () => {
  const query = 'query Greet($n: String) { hello(name: $n) }';
  const response = await post(JSON.stringify({ query, variables: { n: 'sEcret' } }), {
    authorization: 'Bearer sEcret',
  });
  const requestId = response.headers.get('x-request-id');
  await eventually('the log line', () => shell.log.some((line) => line.requestId === requestId));
  expect(shell.log.find((line) => line.requestId === requestId)).toMatchObject({
    method: 'POST',
    path: '/graphql',
    operationName: 'Greet',
    status: 200,
    ms: expect.any(Number),
  });
  expect(JSON.stringify(shell.log)).not.toMatch(/sEcret|hello\(/);
  expect(shell.contexts.at(-1)).toMatchObject({ requestId });
});

test('the signal of an operation aborts when its client goes away', async () => {
  const client = new AbortController();
  const body = JSON.stringify({ query: '{ untilAborted }' });
  const headers = { 'content-type': 'application/json' };
  const before = shell.contexts.length;
  const answer = fetch(`${shell.url}/graphql`, { method: 'POST', headers, body, signal: client.signal });
  await eventually('the operation', () => shell.contexts.length > before);
  client.abort();
  await expect(answer).rejects.toThrow('aborted');
  await eventually('the abort', () => shell.contexts.at(-1)?.signal?.aborted === true);
});

test('a client that dawdles with its body is cut off', async () => {
  const impatient = await startShell(undefined, { bodyTimeoutMs: 50 });
  const socket = connect(impatient.port, '127.0.0.1');
  socket.write(
    'POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{',
  );
  expect(await text(socket)).toBe('');
  await impatient.close();
});

test('close lets a request in flight finish, and can be called on a server that has not been listening', async () => {
  const other = await startShell(async () => 'done');
  const answer = fetch(`${other.url}/healthz`);
  await eventually('the request', () => other.log.length > 0);
  await other.close();
  expect((await answer).status).toBe(200);
  await expect(fetch(`${other.url}/healthz`)).rejects.toThrow();
});
