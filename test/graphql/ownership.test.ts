import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newId } from '../../src/domain/ids.js';
import { createSchema } from '../../src/graphql/schema.js';
import { type Answer, startApp, type TestApp } from '../support/app.js';
import { KEYS, TestDatabase } from '../support/database.js';
import { AUTH, tokenFor } from '../support/tokens.js';

type Client = ReturnType<TestApp['as']>;
type Call = string | ((client: Client, chatId: string) => Promise<unknown>);

/** Every way to ask about the chat $id, by the field that is asked. */
const ABOUT_A_CHAT: Record<string, readonly Call[]> = {
  'Query.chat': ['query($id: ID!) { chat(id: $id) { id messages { totalCount } replica { engine tables { name } } } }'],
  'Query.credentials': [
    'query($id: ID!) { credentials(chatId: $id) { password } }',
    'query($id: ID!) { credentials(chatId: $id, target: REPLICA) { password uri } }',
  ],
  'Query.replicationStatus': ['query($id: ID!) { replicationStatus(chatId: $id) { state } }'],
  'Mutation.updateChat': ['mutation($id: ID!) { updateChat(input: { chatId: $id, name: "Mine" }) { name } }'],
  'Mutation.deleteChat': ['mutation($id: ID!) { deleteChat(id: $id) }'],
  'Mutation.postMessage': [
    'mutation($id: ID!) { postMessage(input: { chatId: $id, role: USER, content: { text: "x" } }) { id } }',
  ],
  'Mutation.uploadReplica': [(client, chatId) => client.upload(chatId, 'select 1;')],
  'Mutation.cancelReplication': ['mutation($id: ID!) { cancelReplication(chatId: $id) { engine } }'],
  'Mutation.resetReplica': ['mutation($id: ID!) { resetReplica(chatId: $id) { engine } }'],
  'Mutation.deleteReplica': ['mutation($id: ID!) { deleteReplica(chatId: $id) }'],
  'Mutation.runQuery': [
    'mutation($id: ID!) { runQuery(input: { chatId: $id, sql: "select 1" }) { rows } }',
    'mutation($id: ID!) { runQuery(input: { chatId: $id, sql: "select 1", access: READ_WRITE }) { rows } }',
  ],
  'Subscription.replicationStatus': ['subscription($id: ID!) { replicationStatus(chatId: $id) { state } }'],
  'Subscription.messageAdded': ['subscription($id: ID!) { messageAdded(chatId: $id) { id } }'],
};
const ABOUT_NO_CHAT = ['Query.chats', 'Mutation.createChat'];
/** Documented to be null for a chat that does not exist. */
const NULL = ['Query.chat', 'Query.replicationStatus'];

const CHAT = 'query($id: ID!) { chat(id: $id) { name messages { totalCount } replica { status { state } } } }';

test('every field of the schema is asked here, or is about no chat', async () => {
  const schema = await createSchema();
  const fields = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
    Object.keys(type?.getFields() ?? {}).map((field) => `${type?.name}.${field}`),
  );
  expect(fields.sort()).toEqual([...Object.keys(ABOUT_A_CHAT), ...ABOUT_NO_CHAT].sort());
});

describe.each([
  ['memory', false],
  ['PostgreSQL', true],
])('in %s,', (_store, isDurable) => {
  let app: TestApp;
  let database: TestDatabase | undefined;
  let ada: Client;
  let bob: Client;
  /** Ada's, with a replica that is READY and a further upload under way. */
  let chatId: string;
  let upload: ReturnType<Client['openUpload']>;

  beforeAll(async () => {
    database = isDurable ? await TestDatabase.start() : undefined;
    const durable: Record<string, string> = database
      ? { DATABASE_URL: await database.createDatabase(), CREDENTIALS_KEYS: KEYS }
      : {};
    app = await startApp({ ...AUTH, REPLICA_ENGINE: 'embedded', ...durable });
    ada = app.as(await tokenFor('ada'));
    bob = app.as(await tokenFor('bob'));
    chatId = await ada.createChat({ name: 'Ada’s' });
    expect(await ada.replicate(chatId, 'create table secret as select 1 as one;')).toMatchObject({ state: 'READY' });
    await ada.runQuery(chatId, 'select * from secret');
    upload = ada.openUpload(chatId);
    upload.write('select 1;\n'.repeat(20_000));
    expect((await upload.answer).errors).toBeUndefined();
  });
  afterAll(async () => {
    upload?.disconnect();
    await app?.app.close();
    await database?.remove();
  });

  describe('to somebody else, a chat is as unknown as one that never was', () => {
    const calls = Object.entries(ABOUT_A_CHAT).flatMap(([field, calls]) => calls.map((call) => [field, call] as const));

    test.each(calls)('by %s: %s', async (field, call) => {
      const foreign = await answer(call, chatId);
      for (const unknown of [newId(), '', ' ', 'a\0b', 'a\ud83d', '\ude42']) {
        expect(await answer(call, unknown)).toEqual(foreign);
      }
      const name = field.split('.')[1] as string;
      if (NULL.includes(field)) expect(foreign).toEqual({ data: { [name]: null } });
      else expect(foreign).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
    });

    /** Of Bob, the id of the chat aside. */
    async function answer(call: Call, id: string): Promise<unknown> {
      const given = typeof call === 'string' ? await ask(call, id) : await call(bob, id);
      const named = JSON.stringify(`there is no chat ${id};`).slice(1, -1);
      return JSON.parse(JSON.stringify(given).replaceAll(named, 'there is no chat;'));
    }

    async function ask(query: string, id: string): Promise<unknown> {
      if (!query.startsWith('subscription')) return bob.graphql(query, { id });
      const results: Answer[] = [];
      for await (const result of bob.subscribe(query, { id })) results.push(result as unknown as Answer);
      return results[0];
    }

    test('it is in no list of his, and its cursors lead nowhere', async () => {
      const own = await bob.createChat();
      const list = 'query($after: String) { chats(after: $after) { totalCount pageInfo { endCursor } nodes { id } } }';
      const { data } = await bob.graphql(list);
      expect(data.chats).toMatchObject({ totalCount: 1, nodes: [{ id: own }] });
      const { endCursor } = (await ada.graphql(list)).data.chats.pageInfo;
      expect(JSON.stringify(await bob.graphql(list, { after: endCursor }))).not.toContain(chatId);
    });

    test('its owner sees it as it was', async () => {
      const { data } = await ada.graphql(CHAT, { id: chatId });
      expect(data.chat).toMatchObject({ name: 'Ada’s', messages: { totalCount: 2 } });
      expect(data.chat.replica.status.state).not.toBe('CANCELLED');
      expect(await ada.rows(chatId, 'select * from secret')).toEqual([[1]]);
    });
  });

  test('the same user owns it with whatever token', async () => {
    const { data } = await app.as(await tokenFor('ada', 60)).graphql(CHAT, { id: chatId });
    expect(data.chat.name).toBe('Ada’s');
  });

  test('a password that is read is logged with who has read which, and without the password', async () => {
    app.log.length = 0;
    for (const target of ['SOURCE', 'REPLICA']) {
      await ada.graphql(`query($id: ID!) { credentials(chatId: $id, target: ${target}) { password } }`, { id: chatId });
      await bob.graphql(`query($id: ID!) { credentials(chatId: $id, target: ${target}) { password } }`, { id: chatId });
    }
    const audited = app.log.map((line) => JSON.parse(line)).filter((line) => 'audit' in line);
    expect(audited).toEqual([
      expect.objectContaining({
        audit: 'password read',
        owner: 'ada',
        chatId,
        target: 'SOURCE',
        requestId: expect.any(String),
      }),
      expect.objectContaining({ audit: 'password read', owner: 'ada', chatId, target: 'REPLICA' }),
    ]);
    expect(JSON.stringify(audited)).not.toContain('s3cret');
  });
});

test('LOG_LEVEL does not silence the audit', async () => {
  const silent = await startApp({ REPLICA_ENGINE: 'embedded', GATEWAY_PORT: 'off' }, 'error');
  const chatId = await silent.createChat();
  await silent.graphql('query($id: ID!) { credentials(chatId: $id) { password } }', { id: chatId });
  expect(silent.log.map((line) => JSON.parse(line))).toEqual([expect.objectContaining({ audit: 'password read' })]);
  await silent.app.close();
});
