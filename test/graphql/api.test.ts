import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import WebSocket from 'ws';
import { type Answer, startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';

const MESSAGE_LIMIT = 10_000;
const UNKNOWN = 'nosuchchat0000000000';

let app: TestApp;
beforeAll(async () => {
  app = await startApp({ REPLICA_ENGINE: 'embedded', MAX_MESSAGE_BYTES: String(MESSAGE_LIMIT) });
});
afterAll(() => app?.app.close());

/** Of a query that succeeds. */
async function dataOf(query: string, variables: Record<string, unknown> = {}): Promise<Answer['data']> {
  const { data, errors } = await app.graphql(query, variables);
  expect(errors).toBeUndefined();
  return data;
}

/** The one error of a query that fails. */
async function errorOf(query: string, variables: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
  const { errors = [] } = await app.graphql(query, variables);
  expect(errors).toHaveLength(1);
  const [{ message, extensions }] = errors as [NonNullable<Answer['errors']>[number]];
  return { message, ...extensions };
}

const INPUT = { name: 'Shop', host: 'db.test', user: 'app', password: 's3cret', database: 'shop' };
const CHAT = 'id name host port user database dbms environment createdAt';
const CREATE = `mutation($input: CreateChatInput!) { createChat(input: $input) { ${CHAT} } }`;
const UPDATE = `mutation($input: UpdateChatInput!) { updateChat(input: $input) { ${CHAT} } }`;
const DELETE = 'mutation($id: ID!) { deleteChat(id: $id) }';

describe('a chat', () => {
  test('is created with defaults', async () => {
    const { createChat } = await dataOf(CREATE, { input: INPUT });
    expect(createChat).toEqual({
      id: expect.stringMatching(/^[0-9a-z]{20}$/),
      name: 'Shop',
      host: 'db.test',
      port: 5432,
      user: 'app',
      database: 'shop',
      dbms: 'POSTGRESQL',
      environment: 'LOCAL',
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
    expect(Math.abs(Date.now() - Date.parse(createChat.createdAt))).toBeLessThan(30_000);
    const { chat } = await dataOf(`query($id: ID!) { chat(id: $id) { ${CHAT} replica { chatId } } }`, createChat);
    expect(chat).toEqual({ ...createChat, replica: null });
  });

  test('takes every value that is given', async () => {
    const given = { ...INPUT, port: 6543, dbms: 'POSTGRESQL', environment: 'CLOUD', host: '2001:db8::1' };
    const { createChat } = await dataOf(CREATE, { input: given });
    const { password, ...shown } = given;
    expect(createChat).toMatchObject(shown);
    const { credentials } = await dataOf(
      'query($id: ID!) { credentials(chatId: $id) { password port host } }',
      createChat,
    );
    expect(credentials).toEqual({ password, port: 6543, host: '2001:db8::1' });
  });

  test('is changed where a change is given, and only there', async () => {
    const { createChat: before } = await dataOf(CREATE, { input: INPUT });
    const chatId = before.id;
    const { updateChat: renamed } = await dataOf(UPDATE, { input: { chatId, name: 'New', host: null } });
    expect(renamed).toEqual({ ...before, name: 'New' });
    const rest = { host: '10.0.0.1', port: 1, user: 'u', database: 'd', environment: 'CLOUD' };
    const { updateChat: moved } = await dataOf(UPDATE, { input: { chatId, ...rest, password: 'other' } });
    expect(moved).toEqual({ ...before, name: 'New', ...rest });
    const credentials = 'query($id: ID!) { credentials(chatId: $id) { password } }';
    expect((await dataOf(credentials, before)).credentials.password).toBe('other');
    expect((await dataOf(UPDATE, { input: { chatId } })).updateChat).toEqual(moved);
    await dataOf(UPDATE, { input: { chatId, password: '' } });
    expect((await dataOf(credentials, before)).credentials.password).toBe('');
  });

  test('is gone when it has been deleted, and so is all of it', async () => {
    const id = await app.createChat();
    await post(id, { text: 'Hello' });
    expect((await dataOf(DELETE, { id })).deleteChat).toBe(id);
    expect((await dataOf('query($id: ID!) { chat(id: $id) { id } }', { id })).chat).toBeNull();
    for (const query of [
      DELETE,
      'query($id: ID!) { credentials(chatId: $id) { password } }',
      'mutation($id: ID!) { updateChat(input: { chatId: $id, name: "x" }) { id } }',
      'mutation($id: ID!) { postMessage(input: { chatId: $id, role: USER, content: { text: "x" } }) { id } }',
    ]) {
      expect(await errorOf(query, { id })).toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining(id) });
    }
  });

  test('of an unknown id is null', async () => {
    expect((await dataOf('{ chat(id: "nowhere") { id } }')).chat).toBeNull();
  });
});

describe('what no chat can be', () => {
  test.each<[string, Record<string, unknown>, RegExp]>([
    ['name', { name: '' }, /^name: is empty; give/],
    ['name', { name: ' \n' }, /^name: is empty; give/],
    ['name', { name: 'x'.repeat(201) }, /^name: .*201.*200/],
    ['host', { host: '' }, /^host: is empty; give/],
    ['host', { host: 'https://db.test/x' }, /^host: .*without protocol/],
    ['host', { host: 'db.test:5432' }, /^host: .*without protocol, port/],
    ['port', { port: 0 }, /^port: 0 is no TCP port; give one from 1 to 65535/],
    ['port', { port: 70_000 }, /^port: 70000 is no TCP port; give one from 1 to 65535/],
    ['port', { port: -1 }, /^port: -1 is no TCP port; give/],
    ['user', { user: '' }, /^user: is empty; give/],
    ['user', { user: 'ü'.repeat(32) }, /^user: has 64 bytes; .*63/],
    ['user', { user: 'pg_monitor' }, /^user: .*reserved; give/],
    ['password', { password: 'x'.repeat(1025) }, /^password: has 1025 characters; at most 1024/],
    ['password', { password: 'a\0b' }, /^password: .*NUL.*remove/],
    ['database', { database: '' }, /^database: is empty; give/],
    ['database', { database: 'template1' }, /^database: template1 .*give/],
  ])('a %s such as %j', async (field, wrong, message) => {
    const refusal = { code: 'BAD_USER_INPUT', field, message: expect.stringMatching(message) };
    expect(await errorOf(CREATE, { input: { ...INPUT, ...wrong } })).toEqual(refusal);
    const chatId = await app.createChat();
    expect(await errorOf(UPDATE, { input: { chatId, ...wrong } })).toEqual(refusal);
    const { chat } = await dataOf(`query($id: ID!) { chat(id: $id) { ${CHAT} } }`, { id: chatId });
    expect(chat).toMatchObject({ port: 5432, host: 'db.test' });
  });

  test.each<[string, Record<string, unknown>]>([
    ['port', { port: 'x' }],
    ['port', { port: 1.5 }],
    ['dbms', { dbms: 'MYSQL' }],
    ['environment', { environment: 'MOON' }],
    ['name', { name: null }],
    ['name', { name: undefined }],
    ['color', { color: 'red' }],
  ])('of another type, %s: %j', async (field, wrong) => {
    const { code, message } = await errorOf(CREATE, { input: { ...INPUT, ...wrong } });
    expect(code).toBe('BAD_USER_INPUT');
    expect(message).toContain(field);
  });
});

describe('the list of chats', () => {
  interface Connection {
    edges: { cursor: string; node: { name: string } }[];
    nodes: { name: string }[];
    pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null };
    totalCount: number;
  }
  const LIST = `query($first: Int, $after: String) { chats(first: $first, after: $after) {
    edges { cursor node { name } } nodes { name } totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`;
  let own: TestApp;

  beforeAll(async () => {
    own = await startApp({ REPLICA_ENGINE: 'embedded' });
    for (let count = 1; count <= 60; count += 1) await own.createChat({ name: `chat ${count}` });
  });
  afterAll(() => own?.app.close());

  async function list(variables: Record<string, unknown>): Promise<Connection> {
    const { data, errors } = await own.graphql(LIST, variables);
    expect(errors).toBeUndefined();
    return data.chats;
  }
  const names = ({ nodes }: Connection) => nodes.map(({ name }) => name);
  const range = (from: number, to: number) =>
    Array.from({ length: from - to + 1 }, (_, index) => `chat ${from - index}`);

  test('has the newest 50 first', async () => {
    const page = await list({});
    expect(names(page)).toEqual(range(60, 11));
    expect(page.edges.map(({ node }) => node.name)).toEqual(names(page));
    expect(page.totalCount).toBe(60);
    expect(page.pageInfo).toEqual({
      hasNextPage: true,
      hasPreviousPage: false,
      startCursor: page.edges[0]?.cursor,
      endCursor: page.edges.at(-1)?.cursor,
    });
    const last = await list({ after: page.pageInfo.endCursor });
    expect(names(last)).toEqual(range(10, 1));
    expect(last.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
    const beyond = await list({ after: last.pageInfo.endCursor });
    expect(beyond).toMatchObject({
      nodes: [],
      totalCount: 60,
      pageInfo: { hasNextPage: false, hasPreviousPage: true, startCursor: null, endCursor: null },
    });
  });

  test('first: 0 is an empty page', async () => {
    expect(await list({ first: 0 })).toMatchObject({ nodes: [], totalCount: 60, pageInfo: { hasNextPage: true } });
  });

  test('is gone through without a gap or a double while chats are added and deleted', async () => {
    const seen: string[] = [];
    const added: string[] = [];
    for (let after: string | null = null; ; ) {
      const page = await list({ first: 7, after });
      seen.push(...names(page));
      if (!page.pageInfo.hasNextPage) break;
      after = page.pageInfo.endCursor;
      added.push(await own.createChat({ name: 'meanwhile' }));
    }
    expect(seen).toEqual(range(60, 1));
    const page = await list({ first: 3 + added.length });
    for (const id of added) await own.graphql(DELETE, { id });
    // The chat that the cursor was taken from may be gone, too.
    const cursor = page.edges[0]?.cursor as string;
    expect(names(await list({ first: 3, after: cursor }))).toEqual(range(60, 58));
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['after', { after: 'nonsense' }, /^after: is no cursor of this list; give/],
    ['after', { after: '' }, /^after: is no cursor/],
    ['first', { first: -1 }, /^first: -1 is out of range; give 0 to 500/],
    ['first', { first: 501 }, /^first: 501 is out of range; give 0 to 500/],
  ])('refuses %s: %j', async (field, variables, message) => {
    expect(await errorOf(LIST, variables)).toEqual({
      code: 'BAD_USER_INPUT',
      field,
      message: expect.stringMatching(message),
    });
  });
});

const CONTENT = `contentType content { __typename ... on TextContent { text } ... on QueryContent { sql }
  ... on ImageContent { url alt } ... on TableContent { columns rows rowCount truncated } }`;
const POST = `mutation($input: PostMessageInput!) { postMessage(input: $input) { id chatId role createdAt ${CONTENT} } }`;

function post(chatId: string, content: Record<string, unknown>, role = 'USER'): Promise<Answer> {
  return app.graphql(POST, { input: { chatId, role, content } });
}

describe('a message', () => {
  const MESSAGES = `query($id: ID!) { chat(id: $id) { messages { nodes { id chatId role createdAt ${CONTENT} } } } }`;
  const PIXEL = 'data:image/png;base64,iVBORw0KGgo=';

  test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['TEXT', { text: 'Who owes us *what*?\n ü€😀' }, { __typename: 'TextContent', text: 'Who owes us *what*?\n ü€😀' }],
    ['QUERY', { query: 'select 1' }, { __typename: 'QueryContent', sql: 'select 1' }],
    [
      'IMAGE',
      { image: { url: 'https://img.test/a.png', alt: 'A chart' } },
      { __typename: 'ImageContent', url: 'https://img.test/a.png', alt: 'A chart' },
    ],
    ['IMAGE', { image: { url: PIXEL } }, { __typename: 'ImageContent', url: PIXEL, alt: null }],
    [
      'TABLE',
      {
        table: [
          { z: 1, a: null },
          { a: { deep: [true, 'x'] }, m: 1.5, z: '' },
        ],
      },
      {
        __typename: 'TableContent',
        columns: ['z', 'a', 'm'],
        rows: [
          { z: 1, a: null },
          { a: { deep: [true, 'x'] }, m: 1.5, z: '' },
        ],
        rowCount: 2,
        truncated: false,
      },
    ],
    ['TABLE', { table: [] }, { __typename: 'TableContent', columns: [], rows: [], rowCount: 0, truncated: false }],
  ])('of type %s is read back as it was posted', async (contentType, given, content) => {
    const chatId = await app.createChat();
    const { data, errors } = await post(chatId, given, 'ASSISTANT');
    expect(errors).toBeUndefined();
    expect(data.postMessage).toMatchObject({ chatId, role: 'ASSISTANT', contentType, content });
    expect((await dataOf(MESSAGES, { id: chatId })).chat.messages.nodes).toEqual([data.postMessage]);
  });

  test('of type TABLE keeps the order of its columns, as a literal too', async () => {
    const chatId = await app.createChat();
    const { data } = await post(chatId, { table: [{ title: 'x', id: 1, author: 'y' }] });
    expect(data.postMessage.content.columns).toEqual(['title', 'id', 'author']);
    expect(Object.keys(data.postMessage.content.rows[0])).toEqual(['title', 'id', 'author']);
    const literal = await dataOf(`mutation { postMessage(input: { chatId: "${chatId}", role: USER,
      content: { table: [{ title: "x", id: 1, author: "y" }] } }) { ${CONTENT} } }`);
    expect(literal.postMessage.content.columns).toEqual(['title', 'id', 'author']);
    expect(Object.keys(literal.postMessage.content.rows[0])).toEqual(['title', 'id', 'author']);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['content.text', { text: '' }, /^content.text: is empty; give/],
    ['content.query', { query: '  ' }, /^content.query: is empty; give/],
    [
      'content.text',
      { text: 'x'.repeat(MESSAGE_LIMIT) },
      /^content.text: has 10002 bytes; at most 10000 .*MAX_MESSAGE_BYTES/,
    ],
    ['content.table', { table: [{ a: 'x'.repeat(MESSAGE_LIMIT) }] }, /^content.table: has \d+ bytes; at most 10000/],
    ['content.image.url', { image: { url: 'javascript:alert(1)' } }, /^content.image.url: .*https:.*give/],
    ['content.image.url', { image: { url: 'http://img.test/a.png' } }, /^content.image.url: .*https:.*give/],
    ['content.image.url', { image: { url: ' javascript:alert(1)' } }, /^content.image.url: .*https:.*give/],
    ['content.image.url', { image: { url: '//img.test/a.png' } }, /^content.image.url: .*https:.*give/],
    [
      'content.image.url',
      { image: { url: 'data:text/html;base64,PGI+' } },
      /^content.image.url: give a base64 data URL/,
    ],
    ['content.image.url', { image: { url: 'data:image/svg+xml;base64,PGI+' } }, /^content.image.url: give a base64/],
  ])('is refused for its %s: %.60j', async (field, content, message) => {
    const chatId = await app.createChat();
    const refusal = { code: 'BAD_USER_INPUT', field, message: expect.stringMatching(message) };
    expect(await errorOf(POST, { input: { chatId, role: 'USER', content } })).toEqual(refusal);
    expect((await dataOf(MESSAGES, { id: chatId })).chat.messages.nodes).toEqual([]);
  });

  test.each<[string, unknown, string]>([
    ['no kind', {}, 'MessageContentInput'],
    ['two kinds', { text: 'x', query: 'y' }, 'MessageContentInput'],
    ['a kind that is null', { text: null }, 'text'],
    ['two kinds, one of them null', { text: 'x', query: null }, 'MessageContentInput'],
    ['rows that are no objects', { table: [1] }, 'table'],
    ['rows that are lists', { table: [[1, 2]] }, 'table'],
    ['a row that is null', { table: [null] }, 'table'],
    ['an unknown kind', { video: 'x' }, 'video'],
    ['an image without URL', { image: { alt: 'x' } }, 'url'],
    ['text that is none', { text: 1 }, 'text'],
  ])('is refused with %s', async (_what, content, named) => {
    const chatId = await app.createChat();
    const { errors = [] } = await post(chatId, content as Record<string, unknown>);
    expect(errors.map(({ extensions }) => extensions.code)).toContain('BAD_USER_INPUT');
    expect(errors.map(({ message }) => message).join()).toContain(named);
  });

  test.each(['{}', '{ text: "x", query: "y" }', '{ text: null }', '{ table: [1] }'])(
    'is refused with the literal %s',
    async (content) => {
      const chatId = await app.createChat();
      const query = `mutation { postMessage(input: { chatId: "${chatId}", role: USER, content: ${content} }) { id } }`;
      const { code } = await errorOf(query);
      expect(['BAD_USER_INPUT', 'GRAPHQL_VALIDATION_FAILED']).toContain(code);
    },
  );

  test('to an unknown chat is NOT_FOUND', async () => {
    expect(await errorOf(POST, { input: { chatId: UNKNOWN, role: 'USER', content: { text: 'x' } } })).toEqual({
      code: 'NOT_FOUND',
      message: `there is no chat ${UNKNOWN}; list those there are with the query chats`,
    });
  });
});

describe("a chat's messages", () => {
  const PAGE = `query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { chat(id: $id) {
    messages(first: $first, after: $after, last: $last, before: $before) {
      edges { cursor } nodes { content { ... on TextContent { text } } } totalCount
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`;
  let id: string;
  let cursors: string[];

  beforeAll(async () => {
    id = await app.createChat();
    for (let count = 1; count <= 60; count += 1) await post(id, { text: `${count}` });
    const all = await dataOf(PAGE, { id, first: 500 });
    cursors = all.chat.messages.edges.map(({ cursor }: { cursor: string }) => cursor);
  });

  async function page(variables: Record<string, unknown>) {
    const { nodes, pageInfo, totalCount } = (await dataOf(PAGE, { id, ...variables })).chat.messages;
    expect(totalCount).toBe(60);
    const numbers: number[] = nodes.map(({ content }: { content: { text: string } }) => Number(content.text));
    expect(pageInfo.startCursor).toBe(numbers.length === 0 ? null : cursors[(numbers[0] as number) - 1]);
    expect(pageInfo.endCursor).toBe(numbers.length === 0 ? null : cursors[(numbers.at(-1) as number) - 1]);
    return { numbers, before: pageInfo.hasPreviousPage, after: pageInfo.hasNextPage };
  }
  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
  /** By the number of the message. */
  const at = (number: number) => cursors[number - 1] as string;

  test('are the newest 50 by default, oldest first', async () => {
    expect(await page({})).toEqual({ numbers: range(11, 60), before: true, after: false });
  });

  test('first takes from the beginning, with after from there', async () => {
    expect(await page({ first: 3 })).toEqual({ numbers: [1, 2, 3], before: false, after: true });
    expect(await page({ first: 3, after: at(3) })).toEqual({ numbers: [4, 5, 6], before: true, after: true });
    expect(await page({ first: 3, after: at(58) })).toEqual({ numbers: [59, 60], before: true, after: false });
    expect(await page({ first: 0 })).toEqual({ numbers: [], before: false, after: true });
  });

  test('after alone goes forwards from there', async () => {
    expect(await page({ after: at(5) })).toEqual({ numbers: range(6, 55), before: true, after: true });
    expect(await page({ after: at(60) })).toEqual({ numbers: [], before: true, after: false });
  });

  test('last takes from the end, with before up to there', async () => {
    expect(await page({ last: 2 })).toEqual({ numbers: [59, 60], before: true, after: false });
    expect(await page({ last: 2, before: at(59) })).toEqual({ numbers: [57, 58], before: true, after: true });
    expect(await page({ last: 5, before: at(3) })).toEqual({ numbers: [1, 2], before: false, after: true });
  });

  test('before alone goes backwards from there', async () => {
    expect(await page({ before: at(60) })).toEqual({ numbers: range(10, 59), before: true, after: true });
    expect(await page({ before: at(1) })).toEqual({ numbers: [], before: false, after: true });
  });

  test('after and before give what is between', async () => {
    expect(await page({ after: at(3), before: at(7) })).toEqual({ numbers: [4, 5, 6], before: true, after: true });
    expect((await page({ last: 2, after: at(3), before: at(7) })).numbers).toEqual([5, 6]);
    expect((await page({ first: 2, after: at(3), before: at(7) })).numbers).toEqual([4, 5]);
    expect((await page({ after: at(7), before: at(3) })).numbers).toEqual([]);
  });

  test('have cursors that stay while messages are added', async () => {
    const other = await app.createChat();
    for (const text of ['1', '2', '3']) await post(other, { text });
    const first = (await dataOf(PAGE, { id: other, last: 1 })).chat.messages;
    await post(other, { text: '4' });
    const next = (await dataOf(PAGE, { id: other, after: first.pageInfo.endCursor })).chat.messages;
    expect(next.nodes).toEqual([{ content: { text: '4' } }]);
    const earlier = (await dataOf(PAGE, { id: other, last: 5, before: first.pageInfo.startCursor })).chat.messages;
    expect(earlier.nodes).toEqual([{ content: { text: '1' } }, { content: { text: '2' } }]);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['last', { first: 1, last: 1 }, /^last: give either first or last, not both/],
    ['first', { first: -1 }, /^first: -1 is out of range; give 0 to 500/],
    ['last', { last: -5 }, /^last: -5 is out of range; give 0 to 500/],
    ['last', { last: 501 }, /^last: 501 is out of range/],
    ['after', { after: 'p1' }, /^after: is no cursor of this list; give/],
    ['before', { before: 'bm9uc2Vuc2U' }, /^before: is no cursor of this list; give/],
  ])('are refused with a bad %s: %j', async (field, variables, message) => {
    expect(await errorOf(PAGE, { id, ...variables })).toEqual({
      code: 'BAD_USER_INPUT',
      field,
      message: expect.stringMatching(message),
    });
  });
});

describe('messageAdded', () => {
  const SUBSCRIPTION = `subscription($id: ID!) { messageAdded(chatId: $id) { role ${CONTENT} } }`;
  /** The subscription has begun when its first message, posted again and again, has arrived. */
  const START = 'are you there?';

  function listen(chatId: string) {
    const texts: string[] = [];
    const heard = { started: false };
    const ended = (async () => {
      for await (const { data } of app.subscribe(SUBSCRIPTION, { id: chatId })) {
        const { text } = (data as { messageAdded: { content: { text: string } } }).messageAdded.content;
        if (text === START) heard.started = true;
        else texts.push(text);
      }
    })();
    return { texts, heard, ended };
  }

  async function listeners(chatId: string, count: number) {
    const all = Array.from({ length: count }, () => listen(chatId));
    await eventually('all listen', async () => {
      await post(chatId, { text: START });
      return all.every(({ heard }) => heard.started);
    });
    return all;
  }

  test('tells every subscriber of every message in order, and ends when the chat is deleted', async () => {
    const chatId = await app.createChat();
    const other = await app.createChat();
    const all = await listeners(chatId, 5);
    const [stranger] = await listeners(other, 1);
    const texts = Array.from({ length: 30 }, (_, index) => `message ${index}`);
    for (const text of texts) await post(chatId, { text });
    await dataOf(DELETE, { id: chatId });
    await Promise.all(all.map(({ ended }) => ended));
    for (const listener of all) expect(listener.texts).toEqual(texts);
    expect(stranger?.texts).toEqual([]);
    await dataOf(DELETE, { id: other });
    await stranger?.ended;
  });

  test('keeps one order for all when many post at once', async () => {
    const chatId = await app.createChat();
    const all = await listeners(chatId, 3);
    await Promise.all(Array.from({ length: 50 }, (_, index) => post(chatId, { text: `${index}` })));
    await eventually('all have heard', async () => all.every(({ texts }) => texts.length === 50));
    const { chat } = await dataOf(`query($id: ID!) { chat(id: $id) { messages { nodes { ${CONTENT} } } } }`, {
      id: chatId,
    });
    const stored = chat.messages.nodes.map(({ content }: { content: { text: string } }) => content.text);
    for (const { texts } of all) expect(texts).toEqual(stored);
    await dataOf(DELETE, { id: chatId });
    await Promise.all(all.map(({ ended }) => ended));
  });

  test.each(['messageAdded(chatId: $id) { id }', 'replicationStatus(chatId: $id) { state }'])(
    'of an unknown chat is NOT_FOUND: %s',
    async (field) => {
      const results = app.subscribe(`subscription($id: ID!) { ${field} }`, { id: UNKNOWN });
      expect(await results.next()).toMatchObject({
        value: {
          errors: [
            {
              message: `there is no chat ${UNKNOWN}; list those there are with the query chats`,
              extensions: { code: 'NOT_FOUND' },
            },
          ],
        },
      });
      expect((await results.next()).done).toBe(true);
    },
  );

  test('of somebody who does not read ends with the remedy, and nobody else notices', async () => {
    const chatId = await app.createChat();
    const socket = new WebSocket(app.url.replace('http', 'ws'), 'graphql-transport-ws');
    await once(socket, 'open');
    socket.send('{"type":"connection_init"}');
    await once(socket, 'message');
    let lastMessage = '';
    let count = 0;
    socket.on('message', (text) => {
      lastMessage = String(text);
      count += 1;
    });
    socket.send(
      JSON.stringify({ type: 'subscribe', id: '1', payload: { query: SUBSCRIPTION, variables: { id: chatId } } }),
    );
    const [reader] = await listeners(chatId, 1);
    await eventually('it listens', async () => {
      await post(chatId, { text: START });
      return count > 0;
    });
    socket.pause();
    // More than 1,000 messages beyond what the buffers of a socket hold.
    const input = { chatId, role: 'USER', content: { text: 'x'.repeat(MESSAGE_LIMIT - 100) } };
    const many = Array.from({ length: 100 }, (_, index) => `m${index}: postMessage(input: $input) { id }`).join(' ');
    for (let batch = 0; batch < 25; batch += 1) {
      await dataOf(`mutation($input: PostMessageInput!) { ${many} }`, { input });
    }
    socket.resume();
    await eventually('it is told', async () => lastMessage.includes('"errors"') || lastMessage.includes('"error"'));
    expect(lastMessage).toContain('"code":"QUOTA_EXCEEDED"');
    expect(lastMessage).toContain('subscribe again');
    await eventually('the other reader has all', async () => reader?.texts.length === 2500);
    socket.close();
    await dataOf(DELETE, { id: chatId });
    await reader?.ended;
  });

  test('is served over WebSocket only', async () => {
    expect(await errorOf(SUBSCRIPTION, { id: UNKNOWN })).toMatchObject({
      code: 'BAD_USER_INPUT',
      message: expect.stringContaining('WebSocket'),
    });
  });
});

describe('over WebSocket, too', () => {
  async function overWebSocket(query: string, variables: Record<string, unknown> = {}): Promise<Answer> {
    return (await app.subscribe(query, variables).next()).value as Answer;
  }

  test('a chat is created and read', async () => {
    const { data } = await overWebSocket(CREATE, { input: INPUT });
    const read = await overWebSocket(`query($id: ID!) { chat(id: $id) { ${CHAT} } }`, { id: data.createChat.id });
    expect(read).toEqual({ data: { chat: data.createChat } });
  });

  test('bad input says the same', async () => {
    const query = CREATE;
    const variables = { input: { ...INPUT, port: 0 } };
    const { errors } = await overWebSocket(query, variables);
    expect(errors).toEqual((await app.graphql(query, variables)).errors);
    expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
  });
});

describe('without a replica', () => {
  test('the status is null', async () => {
    expect(await app.status(await app.createChat())).toBeNull();
    expect(await app.status(UNKNOWN)).toBeNull();
  });

  test.each([
    ['runQuery', 'mutation($id: ID!) { runQuery(input: { chatId: $id, sql: "select 1" }) { rowCount } }'],
    ['resetReplica', 'mutation($id: ID!) { resetReplica(chatId: $id) { chatId } }'],
    ['credentials', 'query($id: ID!) { credentials(chatId: $id, target: REPLICA) { password } }'],
  ])('%s is REPLICA_NOT_READY, with the remedy', async (_name, query) => {
    expect(await errorOf(query, { id: await app.createChat() })).toEqual({
      code: 'REPLICA_NOT_READY',
      state: null,
      message: 'this chat has no replica; upload a dump with uploadReplica',
    });
    expect(await errorOf(query, { id: UNKNOWN })).toMatchObject({ code: 'NOT_FOUND' });
  });

  test.each(['cancelReplication(chatId: $id) { chatId }', 'deleteReplica(chatId: $id)'])(
    '%s is NOT_FOUND',
    async (field) => {
      const query = `mutation($id: ID!) { ${field} }`;
      expect(await errorOf(query, { id: await app.createChat() })).toMatchObject({
        code: 'NOT_FOUND',
        message: 'this chat has no replica; upload a dump with uploadReplica',
      });
      expect(await errorOf(query, { id: UNKNOWN })).toMatchObject({ message: expect.stringContaining(UNKNOWN) });
    },
  );

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['sql', { sql: ' ' }, /^sql: is empty; give/],
    ['maxRows', { maxRows: 0 }, /^maxRows: 0 is out of range; give 1 to 10000/],
    ['maxRows', { maxRows: 10_001 }, /^maxRows: 10001 is out of range/],
    ['timeoutMs', { timeoutMs: 0 }, /^timeoutMs: 0 is out of range; give 1 to 600000/],
  ])('a query with a bad %s is refused before it is looked for: %j', async (field, wrong, message) => {
    const { errors } = await app.runQuery(await app.createChat(), 'select 1', wrong);
    expect(errors).toMatchObject([
      { message: expect.stringMatching(message), extensions: { code: 'BAD_USER_INPUT', field } },
    ]);
  });
});
