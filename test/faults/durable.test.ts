import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startApp, type TestApp } from '../support/app.js';
import { KEYS, TestDatabase } from '../support/database.js';

const DUMP = 'CREATE TABLE book (title text);\n';

let server: TestDatabase;
let env: Record<string, string>;

beforeAll(async () => {
  server = await TestDatabase.start();
  const url = await server.createDatabase();
  env = { DATABASE_URL: url, CREDENTIALS_KEYS: KEYS, REPLICA_ENGINE: 'embedded', GATEWAY_PORT: 'off' };
});
afterAll(() => server?.remove());

describe('a server with DATABASE_URL', () => {
  test('has after a restart what it had before', async () => {
    const first = await startApp(env);
    const chatId = await first.createChat({ name: 'Kept', password: 'c4nary' });
    await post(first, chatId, 'one');
    expect(await first.replicate(chatId, DUMP)).toMatchObject({ state: 'READY' });
    const before = await everything(first, chatId);
    await first.app.close();

    const second = await startApp(env);
    const after = await everything(second, chatId);
    const status = await second.status(chatId);
    expect(await second.replicate(chatId, DUMP)).toMatchObject({ state: 'READY' });
    await second.app.close();
    expect(after).toEqual(before);
    expect(after).toMatchObject({ credentials: { password: 'c4nary' }, chat: { messages: { totalCount: 1 } } });
    expect(status).toMatchObject({ state: 'FAILED', error: { code: 'INTERRUPTED' } });
  });

  test.each([
    [
      'a database that nobody serves',
      { DATABASE_URL: 'postgres://me:c4nary@127.0.0.1:1/x' },
      /^DATABASE_URL: .*ECONNREFUSED/,
    ],
    [
      'a key that is another one',
      { CREDENTIALS_KEYS: `k1:${Buffer.alloc(32, 9).toString('base64')}` },
      /^CREDENTIALS_KEYS: .*k1/,
    ],
  ])('does not start with %s, and says why', async (_what, changes, message) => {
    const error = await startApp({ ...env, ...changes }).catch((error) => error);
    expect(error).toMatchObject({ name: 'ConfigError', message: expect.stringMatching(message) });
    expect(error.message).not.toContain('c4nary');
  });

  test('says what is wrong while its database is away, and goes on when it is back', async () => {
    const app = await startApp(env);
    const chatId = await app.createChat();
    await post(app, chatId, 'one');
    await server.suspend();
    const { errors } = await app.graphql('query($id: ID!) { chat(id: $id) { name } }', { id: chatId });
    await server.resume();
    await post(app, chatId, 'two');
    const { data } = await app.graphql('query($id: ID!) { chat(id: $id) { messages { totalCount } } }', { id: chatId });
    await app.app.close();
    expect(errors).toMatchObject([{ extensions: { code: 'STORE_UNAVAILABLE' } }]);
    expect(data).toEqual({ chat: { messages: { totalCount: 2 } } });
  });
});

async function post({ graphql }: TestApp, chatId: string, text: string): Promise<string> {
  const { data, errors } = await graphql('mutation($input: PostMessageInput!) { postMessage(input: $input) { id } }', {
    input: { chatId, role: 'USER', content: { text } },
  });
  if (errors) throw new Error(errors[0]?.message);
  return data.postMessage.id;
}

async function everything({ graphql }: TestApp, id: string): Promise<unknown> {
  const { data } = await graphql(
    `query($id: ID!) { chats { totalCount nodes { id } } credentials(chatId: $id) { uri password }
      chat(id: $id) { name host port createdAt messages { totalCount nodes { id createdAt content { ... on TextContent { text } } } } } }`,
    { id },
  );
  return data;
}
