import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startApp, type TestApp } from '../support/app.js';
import { KEYS, TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type Build, buildServer, ServerProcess } from '../support/server-process.js';
import { size } from './faults.js';
import { reportFault } from './report.js';

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

describe('two servers on one database', () => {
  const MESSAGES = 'subscription($id: ID!) { messageAdded(chatId: $id) { content { ... on TextContent { text } } } }';

  test('tell their clients of what happens on either', async () => {
    const [one, other] = [await startApp(env), await startApp(env)];
    try {
      const chatId = await one.createChat();
      const heard: string[] = [];
      const listening = listen(other, MESSAGES, chatId, heard);
      listening.catch(() => {});
      const watching = other.watch(chatId);
      await eventually('listening', async () => {
        await post(one, chatId, 'early');
        return heard.length > 0;
      });
      await post(one, chatId, 'from one');
      await post(other, chatId, 'from the other');
      await eventually('both', async () => heard.at(-1) === 'from the other');
      expect(heard.slice(-2)).toEqual(['from one', 'from the other']);

      await one.upload(chatId, DUMP);
      const statuses = await watching;
      expect(statuses.at(-1)).toMatchObject({ state: 'READY', percent: 100 });
      expect(statuses.map(({ sequence }) => sequence)).toEqual(
        statuses.map(({ sequence }) => sequence).sort((a, b) => a - b),
      );
      await one.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
      await listening;
    } finally {
      await one.app.close();
      await other.app.close();
    }
  });

  test('miss nothing of what happens while their database is restarted', async () => {
    const [one, other] = [await startApp(env), await startApp(env)];
    try {
      const chatId = await one.createChat();
      const heard: string[] = [];
      const listening = listen(other, MESSAGES, chatId, heard);
      // Whatever fails before it is waited for says so itself.
      listening.catch(() => {});
      const sent: string[] = [];
      await eventually('listening', async () => {
        sent.push(`early ${sent.length}`);
        await post(one, chatId, sent.at(-1) as string);
        return heard.length > 0;
      });
      const first = sent.indexOf(heard[0] as string);
      for (let round = 0; round < 3; round += 1) {
        await server.suspend('SIGQUIT');
        await server.resume();
        for (let index = 0; index < 150; index += 1) {
          sent.push(`round ${round}, ${index}`);
          await postSurely(one, chatId, sent.at(-1) as string);
        }
      }
      await eventually('the last', async () => heard.at(-1) === sent.at(-1));
      expect(heard).toEqual(sent.slice(first));
      await one.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
      await listening;
    } finally {
      await one.app.close();
      await other.app.close();
    }
  });
});

/** Until the subscription ends. */
async function listen(app: TestApp, subscription: string, id: string, heard: string[]): Promise<void> {
  for await (const { data } of app.subscribe(subscription, { id })) {
    heard.push((data as { messageAdded: { content: { text: string } } }).messageAdded.content.text);
  }
}

const KILLS = size('MESSAGE_KILLS');
const WRITERS = 4;

describe('a server that is killed while messages are posted', () => {
  let build: Build;

  beforeAll(async () => {
    build = await buildServer();
  });
  afterAll(() => build?.remove());

  test(
    `loses and doubles no acknowledged message in ${KILLS} kills`,
    async () => {
      const setUp = await startApp(env);
      const chatId = await setUp.createChat();
      await setUp.app.close();
      const acknowledged = new Map<string, string>();
      let unanswered: string[] = [];
      let retried = 0;
      const retry = async (server: Pick<TestApp, 'graphql'>) => {
        for (const clientId of unanswered) acknowledged.set(clientId, await post(server, chatId, clientId, clientId));
        retried += unanswered.length;
      };
      for (let kill = 0; kill < KILLS; kill += 1) {
        const running = await ServerProcess.start(build, { ...env, REPLICA_WARM: '0' });
        await retry(running.client);
        let killed = false;
        /** Posts until the server dies; resolves with what has been posted without an answer. */
        const write = async (writer: number): Promise<string> => {
          for (let count = 0; ; count += 1) {
            const clientId = `${kill}-${writer}-${count}`;
            const id = await post(running.client, chatId, clientId, clientId).catch(() => undefined);
            if (id === undefined && !killed) throw new Error(`not posted: ${running.output.join('\n')}`);
            if (id === undefined) return clientId;
            acknowledged.set(clientId, id);
          }
        };
        const writing = Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
        const before = acknowledged.size;
        await eventually('some messages', async () => acknowledged.size > before + WRITERS + Math.random() * 30);
        killed = true;
        await running.kill();
        unanswered = await writing;
      }
      const last = await startApp(env);
      await retry(last);
      const stored = await allMessages(last, chatId);
      await last.app.close();
      const found = new Map(stored.map(({ text, id }) => [text, id]));
      const lost = [...acknowledged].filter(([clientId, id]) => found.get(clientId) !== id);
      await reportFault('messages', {
        howOften: `${KILLS} times, ${WRITERS} clients`,
        demanded: 'no acknowledged message is lost or doubled; what was not answered may be posted again',
        seen:
          `${acknowledged.size} acknowledged, ${retried} of them posted again; ` +
          `${lost.length} lost, ${stored.length - found.size} doubled`,
      });
      expect(found).toEqual(acknowledged);
      expect(stored).toHaveLength(acknowledged.size);
      process.stdout.write(`${KILLS} kills: ${stored.length} messages, ${retried} of them posted again\n`);
    },
    60_000 + KILLS * 10_000,
  );
});

async function allMessages({ graphql }: Pick<TestApp, 'graphql'>, id: string): Promise<{ id: string; text: string }[]> {
  const found: { id: string; text: string }[] = [];
  for (let after: string | null = null; ; ) {
    const { data } = await graphql(
      `query($id: ID!, $after: String) { chat(id: $id) { messages(first: 500, after: $after) {
        nodes { id content { ... on TextContent { text } } } pageInfo { hasNextPage endCursor } } } }`,
      { id, after },
    );
    const { nodes, pageInfo } = data.chat.messages;
    found.push(
      ...nodes.map((node: { id: string; content: { text: string } }) => ({ id: node.id, text: node.content.text })),
    );
    if (!pageInfo.hasNextPage) return found;
    after = pageInfo.endCursor;
  }
}

/** A connection that has just broken says so to one caller. */
async function postSurely(app: TestApp, chatId: string, text: string): Promise<void> {
  await eventually(`${text} is posted`, () =>
    post(app, chatId, text, text).then(
      () => true,
      () => false,
    ),
  );
}

async function post(
  { graphql }: Pick<TestApp, 'graphql'>,
  chatId: string,
  text: string,
  clientId?: string,
): Promise<string> {
  const { data, errors } = await graphql('mutation($input: PostMessageInput!) { postMessage(input: $input) { id } }', {
    input: { chatId, role: 'USER', content: { text }, clientId },
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
