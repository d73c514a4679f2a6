import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { AUTH, claimsOf, sign, tokenFor } from '../support/tokens.js';

let app: TestApp;
beforeAll(async () => {
  app = await startApp({ ...AUTH, REPLICA_ENGINE: 'embedded' });
});
afterAll(() => app.app.close());

const CHATS = JSON.stringify({ query: '{ chats { totalCount } }' });

function post(headers: Record<string, string>, body = CHATS): Promise<Response> {
  return fetch(app.url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
}

const unauthenticated = (reason: string) => ({
  errors: [{ message: expect.any(String), extensions: { code: 'UNAUTHENTICATED', reason } }],
});

describe('over HTTP', () => {
  test('a request with a token is answered', async () => {
    const response = await post({ authorization: `Bearer ${await tokenFor('ada')}` });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ data: { chats: { totalCount: 0 } } });
  });

  test.each<[string, () => Promise<string | undefined>, string, string]>([
    ['without a token', async () => undefined, 'MISSING', 'Bearer realm="replichat"'],
    [
      'with a bad one',
      () => sign(claimsOf('ada'), 'x'.repeat(32)),
      'INVALID',
      'Bearer realm="replichat", error="invalid_token"',
    ],
    ['with an old one', () => tokenFor('ada', -60), 'EXPIRED', 'Bearer realm="replichat", error="invalid_token"'],
  ])('a request %s is refused with 401', async (_what, make, reason, challenge) => {
    const token = await make();
    const response = await post(token === undefined ? {} : { authorization: `Bearer ${token}` });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe(challenge);
    expect(await response.json()).toEqual(unauthenticated(reason));
  });

  test('the API needs a token whatever the method, and for its schema, too', async () => {
    const preflighted = { 'apollo-require-preflight': 'true' };
    const introspection = await fetch(`${app.url}?query={__schema{queryType{name}}}`, { headers: preflighted });
    expect([introspection.status, await introspection.json()]).toEqual([401, unauthenticated('MISSING')]);
    expect((await fetch(app.url, { method: 'PUT', headers: preflighted })).status).toBe(401);
  });

  test('health, GraphiQL and its files, and preflights of CORS need none', async () => {
    const { origin } = new URL(app.url);
    for (const path of ['/healthz', '/graphiql', '/graphiql/assets/page.js']) {
      expect([path, (await fetch(`${origin}${path}`)).status]).toEqual([path, 200]);
    }
    const headers = { origin: 'http://localhost:5173', 'access-control-request-method': 'POST' };
    const preflight = await fetch(app.url, {
      method: 'OPTIONS',
      headers: { ...headers, 'access-control-request-headers': 'authorization,content-type' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('authorization');
  });
});

describe('an upload', () => {
  const HEAD =
    'POST /graphql HTTP/1.1\r\nHost: localhost\r\nApollo-Require-Preflight: true\r\nConnection: close\r\n' +
    'Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000000000\r\nExpect: 100-continue\r\n';

  /** What the server says to the head of a request of 5 GB, none of whose body is ever sent. */
  async function answerTo(headers: string, isEnough: (answer: string) => boolean): Promise<string> {
    const socket = connect(app.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.write(`${HEAD}${headers}\r\n`);
    await eventually('an answer', async () => isEnough(answer));
    socket.destroy();
    return answer;
  }

  test('without a token is refused before a byte of it has been sent', async () => {
    const answer = await answerTo('', (answer) => answer.includes('UNAUTHENTICATED'));
    expect(answer).toMatch(/^HTTP\/1.1 401 /);
  });

  test('with one is asked for', async () => {
    const answer = await answerTo(`Authorization: Bearer ${await tokenFor('ada')}\r\n`, (answer) => answer !== '');
    expect(answer).toMatch(/^HTTP\/1.1 100 Continue/);
  });

  test('without a token is refused while it is being sent, and the answer can be read', async () => {
    const outgoing = request(app.url, {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=x', 'apollo-require-preflight': 'true' },
    });
    outgoing.write('x'.repeat(100_000));
    const [response] = await once(outgoing, 'response');
    expect(response.statusCode).toBe(401);
    expect(JSON.parse(await text(response))).toEqual(unauthenticated('MISSING'));
    outgoing.end();
  });
});

describe('over WebSocket', () => {
  interface Message {
    type: string;
    id?: string;
    payload?: unknown;
  }

  /** A socket of the bare protocol, connection_init sent. */
  async function open(connectionParams?: object) {
    const socket = new WebSocket(app.url.replace('http', 'ws'), 'graphql-transport-ws');
    const received: Message[] = [];
    socket.on('message', (data) => void received.push(JSON.parse(String(data))));
    const closed = once(socket, 'close').then(([code, reason]) => [code, String(reason)]);
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init', payload: connectionParams }));
    return { socket, received, closed };
  }

  test.each(['authorization', 'Authorization'])('a token is taken as %s of connectionParams', async (name) => {
    const { socket, received } = await open({ [name]: `Bearer ${await tokenFor('ada')}` });
    await eventually('connection_ack', async () => received.length > 0);
    socket.send('{"type":"subscribe","id":"1","payload":{"query":"{ chats { totalCount } }"}}');
    await eventually('the answer', async () => received.length === 3);
    expect(received).toEqual([
      { type: 'connection_ack' },
      { id: '1', type: 'next', payload: { data: { chats: { totalCount: 0 } } } },
      { id: '1', type: 'complete' },
    ]);
    socket.close();
  });

  test.each<[string, () => Promise<object | undefined>, number, string]>([
    ['no connectionParams', async () => undefined, 4401, 'this server needs a token; send one'],
    ['a token that is no string', async () => ({ authorization: 1 }), 4401, 'this server needs a token; send one'],
    ['a bad token', async () => ({ authorization: 'Bearer x' }), 4401, 'the token is not valid'],
    [
      'an old token',
      async () => ({ authorization: `Bearer ${await tokenFor('ada', -60)}` }),
      4403,
      'the token has expired',
    ],
  ])('%s closes the socket with the reason', async (_what, params, code, reason) => {
    const { closed, received } = await open(await params());
    expect(await closed).toEqual([code, expect.stringContaining(reason)]);
    expect(received).toEqual([]);
  });

  test('nothing is answered before the token has been seen', async () => {
    const socket = new WebSocket(app.url.replace('http', 'ws'), 'graphql-transport-ws');
    await once(socket, 'open');
    socket.send('{"type":"subscribe","id":"1","payload":{"query":"{ chats { totalCount } }"}}');
    expect((await once(socket, 'close'))[0]).toBe(4401);
  });

  test('a token that expires closes the socket, and a client goes on with a new one', async () => {
    const ada = app.as(await tokenFor('ada'));
    const chatId = await ada.createChat();
    // The server is 5 s tolerant: it is over in two or three.
    const tokens = [await tokenFor('ada', -2), await tokenFor('ada')];
    const closes: unknown[] = [];
    const client = createClient({
      url: app.url.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      retryAttempts: 2,
      connectionParams: async () => ({ authorization: `Bearer ${tokens.length > 1 ? tokens.shift() : tokens[0]}` }),
      on: { closed: (event) => void closes.push(event) },
    });
    const messages: unknown[] = [];
    const query = 'subscription($id: ID!) { messageAdded(chatId: $id) { role } }';
    client.subscribe(
      { query, variables: { id: chatId } },
      {
        next: ({ data }) => void messages.push(data),
        error: () => {},
        complete: () => {},
      },
    );
    await eventually('the token expires', async () => closes.length > 0);
    expect(closes).toEqual([expect.objectContaining({ code: 4403, reason: expect.stringContaining('has expired') })]);
    const post =
      'mutation($id: ID!) { postMessage(input: { chatId: $id, role: USER, content: { text: "x" } }) { id } }';
    await eventually('the subscription goes on', async () => {
      await ada.graphql(post, { id: chatId });
      return messages.length > 0;
    });
    expect(messages[0]).toEqual({ messageAdded: { role: 'USER' } });
    await client.dispose();
  });

  test('what a client sends after its token has expired is not done', async () => {
    const ada = app.as(await tokenFor('ada'));
    const chatId = await ada.createChat();
    const claims = claimsOf('ada', -1);
    const { socket, received, closed } = await open({ authorization: `Bearer ${await sign(claims)}` });
    await eventually('connection_ack', async () => received.length > 0);
    // Does not hear the server's goodbye, and goes on talking.
    socket.pause();
    const toleratedUntil = (Number(claims.exp) + 5) * 1000;
    await eventually('the token expires', async () => Date.now() > toleratedUntil + 100);
    const deletion = { query: 'mutation($id: ID!) { deleteChat(id: $id) }', variables: { id: chatId } };
    socket.send(JSON.stringify({ type: 'subscribe', id: 'x', payload: deletion }));
    socket.resume();
    expect((await closed)[0]).toBe(4403);
    expect((await ada.graphql('query($id: ID!) { chat(id: $id) { id } }', { id: chatId })).data.chat).not.toBeNull();
  });
});
