import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Chat } from '../../src/domain/chat.js';
import { newId } from '../../src/domain/ids.js';
import type { Message, MessageContent } from '../../src/domain/message.js';
import type { Page, PageRequest } from '../../src/domain/pagination.js';
import { queued, type Replica } from '../../src/domain/replica.js';
import type { ChatStore, ReplicaAccess } from '../../src/ports.js';
import { newChat } from '../support/chats.js';
import { least } from '../support/measure.js';

const OWNER = 'ann';
const UNKNOWN = 'unknown0000000000000';
const MANY = 100_000;
const QUICK_MS = 200;

/** What every ChatStore does. `create` resolves with an empty store; each test closes its own. */
export function describeChatStore(name: string, create: () => Promise<ChatStore>): void {
  describe(`${name} keeps chats:`, () => {
    let store: ChatStore;

    beforeEach(async () => {
      store = await create();
    });

    afterEach(() => store.close());

    async function addChat(given: Partial<Chat> = {}, password = 'secret'): Promise<Chat> {
      const chat = newChat({ owner: OWNER, ...given });
      await store.addChat(chat, password);
      return chat;
    }

    async function addTexts(chatId: string, ...texts: string[]): Promise<void> {
      expect(
        await store.addMessages(
          OWNER,
          chatId,
          texts.map((text) => newMessage(chatId, { type: 'TEXT', text })),
        ),
      ).toBe(true);
    }

    describe('a chat', () => {
      test('is given back as it was added', async () => {
        const chat = await addChat({
          name: 'Ünïcode "quotes" \\ 🙂\nlines',
          host: '2001:db8::1',
          environment: 'CLOUD',
        });
        expect(await store.chat(OWNER, chat.id)).toEqual(chat);
      });

      test('changes in what is given, and stays as it is in all else', async () => {
        const chat = await addChat();
        const changed = { ...chat, name: 'New', port: 6543 };
        expect(await store.updateChat(OWNER, chat.id, { name: 'New', port: 6543 })).toEqual(changed);
        expect(await store.chat(OWNER, chat.id)).toEqual(changed);
        expect(await store.password(OWNER, chat.id)).toBe('secret');
        const everything = { name: 'N', host: 'h', port: 1, user: 'u', database: 'd', environment: 'CLOUD' } as const;
        expect(await store.updateChat(OWNER, chat.id, everything)).toEqual({ ...chat, ...everything });
        expect(await store.updateChat(OWNER, chat.id, {})).toEqual({ ...chat, ...everything });
      });

      test('keeps its place in the list when it changes', async () => {
        const [first, second] = [await addChat(), await addChat()];
        await store.updateChat(OWNER, first.id, { name: 'New' });
        expect(idsOf(await store.chats(OWNER, { limit: 10, fromEnd: false }))).toEqual([second.id, first.id]);
      });

      test('that is unknown is undefined, and is not changed into being', async () => {
        expect(await store.chat(OWNER, UNKNOWN)).toBeUndefined();
        expect(await store.updateChat(OWNER, UNKNOWN, { name: 'New', password: 'new' })).toBeUndefined();
        expect(await store.chat(OWNER, UNKNOWN)).toBeUndefined();
        expect((await store.chats(OWNER, { limit: 10, fromEnd: false })).totalCount).toBe(0);
      });
    });

    describe('a password', () => {
      test.each(['secret', '', '%@:/?#', 'пароль 🔑', "'; DROP TABLE chat; --"])(
        '%j is read by password() alone',
        async (password) => {
          const chat = await addChat({}, password);
          expect(await store.password(OWNER, chat.id)).toBe(password);
          const seen = [
            await store.chat(OWNER, chat.id),
            (await store.chats(OWNER, { limit: 1, fromEnd: false })).items[0]?.node,
            await store.updateChat(OWNER, chat.id, { name: 'New', password }),
          ];
          for (const found of seen) expect(Object.keys(found ?? {}).sort()).toEqual(Object.keys(chat).sort());
        },
      );

      test('changes without its chat', async () => {
        const chat = await addChat({}, 'old');
        expect(await store.updateChat(OWNER, chat.id, { password: 'new' })).toEqual(chat);
        expect(await store.password(OWNER, chat.id)).toBe('new');
      });

      test('may become empty', async () => {
        const chat = await addChat({}, 'old');
        await store.updateChat(OWNER, chat.id, { password: '' });
        expect(await store.password(OWNER, chat.id)).toBe('');
      });

      test('of an unknown chat is undefined', async () => {
        expect(await store.password(OWNER, UNKNOWN)).toBeUndefined();
      });
    });

    describe('deleting a chat', () => {
      test('takes its password, its messages and its replica along, and nothing of others', async () => {
        const [kept, deleted] = [await addChat(), await addChat()];
        for (const { id } of [kept, deleted]) {
          await addTexts(id, 'one');
          await store.saveReplica(newReplica(id));
        }
        expect(await store.deleteChat(OWNER, deleted.id)).toBe(true);
        expect(await store.chat(OWNER, deleted.id)).toBeUndefined();
        expect(await store.password(OWNER, deleted.id)).toBeUndefined();
        expect(await store.messages(OWNER, deleted.id, { limit: 10, fromEnd: false })).toBeUndefined();
        expect(await store.replica(OWNER, deleted.id)).toBeUndefined();
        expect(idsOf(await store.chats(OWNER, { limit: 10, fromEnd: false }))).toEqual([kept.id]);
        expect(await store.password(OWNER, kept.id)).toBe('secret');
        expect(await textsOf(store, kept.id)).toEqual(['one']);
        expect(await store.replica(OWNER, kept.id)).toEqual(newReplica(kept.id));
      });

      test('happens once', async () => {
        const { id } = await addChat();
        expect([
          await store.deleteChat(OWNER, id),
          await store.deleteChat(OWNER, id),
          await store.deleteChat(OWNER, UNKNOWN),
        ]).toEqual([true, false, false]);
      });

      test('leaves nothing that could be added to', async () => {
        const { id } = await addChat();
        await store.deleteChat(OWNER, id);
        expect(await store.addMessages(OWNER, id, [newMessage(id, { type: 'TEXT', text: 'late' })])).toBe(false);
        expect(await store.saveReplica(newReplica(id))).toBe(false);
        expect(await store.messages(OWNER, id, { limit: 10, fromEnd: false })).toBeUndefined();
        expect(await store.replica(OWNER, id)).toBeUndefined();
      });
    });

    describe('messages', () => {
      test.each<[string, MessageContent]>([
        ['a text', { type: 'TEXT', text: 'it\'s "fine"\\ \r\n\t🙂 \u0000 \u2028' }],
        ['half a character', { type: 'TEXT', text: 'a \ud83d \ude42 b' }],
        [
          'a table of them',
          { type: 'TABLE', columns: ['\0', '\ud83d'], rows: [{ '\0': '\ude42' }], rowCount: 1, truncated: false },
        ],
        ['a query', { type: 'QUERY', sql: 'SELECT $1::text /* ; */' }],
        ['an image', { type: 'IMAGE', url: 'https://a.example/x.png', alt: 'X' }],
        ['an image without a description', { type: 'IMAGE', url: 'https://a.example/x.png', alt: null }],
        ['an empty table', { type: 'TABLE', columns: [], rows: [], rowCount: 0, truncated: false }],
        [
          'a table, its columns in their order',
          {
            type: 'TABLE',
            columns: ['z', 'a', '10', '9', '__proto__'],
            rows: [
              JSON.parse('{"z": 1, "a": null, "10": [1, {"b": 2, "a": 1}], "9": "9007199254740993", "__proto__": 1.5}'),
            ],
            rowCount: 1000,
            truncated: true,
          },
        ],
      ])('are given back as they were added: %s', async (_what, content) => {
        const { id } = await addChat();
        const message: Message = { ...newMessage(id, content), role: 'ASSISTANT' };
        expect(await store.addMessages(OWNER, id, [message])).toBe(true);
        const page = await store.messages(OWNER, id, { limit: 10, fromEnd: false });
        expect(page?.items.map((item) => item.node)).toEqual([message]);
        expect(JSON.stringify(page?.items[0]?.node.content)).toBe(JSON.stringify(content));
      });

      test('are in the order in which they were added, also those of one moment', async () => {
        const { id } = await addChat();
        await addTexts(id, 'a', 'b', 'c');
        await addTexts(id, 'd');
        await addTexts(id, 'e', 'f');
        expect(await textsOf(store, id)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
      });

      test('added at the same time are all there, each call in one piece', async () => {
        const { id } = await addChat();
        await Promise.all(
          Array.from({ length: 20 }, (_, index) => addTexts(id, `${index} question`, `${index} answer`)),
        );
        const texts = (await textsOf(store, id)) as string[];
        expect(new Set(texts).size).toBe(40);
        for (let index = 0; index < 20; index += 1) {
          expect(texts.indexOf(`${index} answer`)).toBe(texts.indexOf(`${index} question`) + 1);
        }
      });

      test('belong to one chat', async () => {
        const [one, other] = [await addChat(), await addChat()];
        await addTexts(one.id, 'mine');
        await addTexts(other.id, 'yours');
        await addTexts(one.id, 'mine too');
        expect(await textsOf(store, one.id)).toEqual(['mine', 'mine too']);
        expect(await store.messages(OWNER, other.id, { limit: 10, fromEnd: false })).toMatchObject({ totalCount: 1 });
      });

      test('may be none', async () => {
        const { id } = await addChat();
        expect(await store.addMessages(OWNER, id, [])).toBe(true);
        expect(await store.messages(OWNER, id, { limit: 10, fromEnd: true })).toEqual({
          items: [],
          hasNextPage: false,
          hasPreviousPage: false,
          totalCount: 0,
        });
      });

      test('of an unknown chat are not kept', async () => {
        expect(await store.addMessages(OWNER, UNKNOWN, [newMessage(UNKNOWN, { type: 'TEXT', text: 'lost' })])).toBe(
          false,
        );
        expect(await store.messages(OWNER, UNKNOWN, { limit: 10, fromEnd: false })).toBeUndefined();
      });

      test(`are found quickly among ${MANY}`, async () => {
        const { id } = await addChat();
        for (let done = 0; done < MANY; done += 10_000) {
          await addTexts(id, ...Array.from({ length: 10_000 }, (_, index) => String(done + index)));
        }
        const middle = (await store.messages(OWNER, id, { limit: 1, fromEnd: false }))?.items[0]?.position as number;
        const requests: PageRequest[] = [
          { limit: 50, fromEnd: false },
          { limit: 50, fromEnd: true },
          { limit: 50, fromEnd: false, after: middle + MANY / 2 },
          { limit: 50, fromEnd: true, before: middle + MANY / 2 },
        ];
        for (const request of requests) {
          const ms = await least(QUICK_MS, async () => {
            const start = performance.now();
            const page = await store.messages(OWNER, id, request);
            const end = performance.now();
            expect(page?.items).toHaveLength(50);
            expect(page?.totalCount).toBe(MANY);
            return end - start;
          });
          expect(ms).toBeLessThan(QUICK_MS);
        }
      });
    });

    const LISTS: [string, (count: number) => Promise<List>][] = [
      [
        'messages, oldest first',
        async (count) => {
          const { id } = await addChat();
          const add = async (name: string) => addTexts(id, name);
          for (let number = 1; number <= count; number += 1) await add(String(number));
          return {
            page: async (request) => namesOf((await store.messages(OWNER, id, request)) as Page<Message>, textOf),
            addAtEnd: () => add('new'),
          };
        },
      ],
      [
        'chats, newest first',
        async (count) => {
          const add = async (name: string) => addChat({ name });
          for (let number = count; number >= 1; number -= 1) await add(String(number));
          return {
            page: async (request) => namesOf(await store.chats(OWNER, request), (chat) => chat.name),
            addAtStart: async () => void (await add('new')),
          };
        },
      ],
    ];

    describe.each(LISTS)('a page of %s', (_name, listOf) => {
      /** `after` and `before` are names here. */
      type Request = [first: number | undefined, last: number | undefined, after?: string, before?: string];

      test.each<[Request, names: string, hasPreviousPage: boolean, hasNextPage: boolean]>([
        [[10, undefined], '1 2 3 4 5', false, false],
        [[5, undefined], '1 2 3 4 5', false, false],
        [[2, undefined], '1 2', false, true],
        [[0, undefined], '', false, true],
        [[2, undefined, '2'], '3 4', true, true],
        [[2, undefined, '3'], '4 5', true, false],
        [[9, undefined, '4'], '5', true, false],
        [[2, undefined, '5'], '', true, false],
        [[2, undefined, undefined, '4'], '1 2', false, true],
        [[9, undefined, undefined, '4'], '1 2 3', false, true],
        [[9, undefined, '1', '5'], '2 3 4', true, true],
        [[2, undefined, '1', '5'], '2 3', true, true],
        [[undefined, 10], '1 2 3 4 5', false, false],
        [[undefined, 5], '1 2 3 4 5', false, false],
        [[undefined, 2], '4 5', true, false],
        [[undefined, 0], '', true, false],
        [[undefined, 2, undefined, '4'], '2 3', true, true],
        [[undefined, 2, undefined, '3'], '1 2', false, true],
        [[undefined, 9, undefined, '3'], '1 2', false, true],
        [[undefined, 2, undefined, '1'], '', false, true],
        [[undefined, 2, '1'], '4 5', true, false],
        [[undefined, 9, '3'], '4 5', true, false],
        [[undefined, 2, '1', '5'], '3 4', true, true],
        [[9, undefined, '2', '3'], '', true, true],
      ])(
        'first, last, after, before %j is "%s"',
        async ([first, last, after, before], names, hasPreviousPage, hasNextPage) => {
          const list = await listOf(5);
          const all = await list.page({ limit: 5, fromEnd: false });
          const positionOf = (name: string) => all.positions[all.names.indexOf(name)];
          const page = await list.page({
            limit: (first ?? last) as number,
            fromEnd: last !== undefined,
            ...(after !== undefined && { after: positionOf(after) }),
            ...(before !== undefined && { before: positionOf(before) }),
          });
          expect({ ...page, names: page.names.join(' ') }).toMatchObject({
            names,
            hasPreviousPage,
            hasNextPage,
            totalCount: 5,
          });
        },
      );

      test('beyond both ends is empty when after comes later than before', async () => {
        const list = await listOf(5);
        const { positions } = await list.page({ limit: 5, fromEnd: false });
        for (const fromEnd of [false, true]) {
          expect((await list.page({ limit: 5, fromEnd, after: positions[3], before: positions[1] })).names).toEqual([]);
        }
      });

      test.each([1, 2, 3, 7, 50])('leads on to the next one, forwards and backwards, by %d', async (limit) => {
        const list = await listOf(7);
        const expected = ['1', '2', '3', '4', '5', '6', '7'];
        expect(await walk(list, limit, false)).toEqual(expected);
        expect(await walk(list, limit, true)).toEqual(expected);
      });

      test('does not shift while others are added', async () => {
        const list = await listOf(6);
        const first = await list.page({ limit: 2, fromEnd: false });
        const last = await list.page({ limit: 2, fromEnd: true });
        await (list.addAtEnd ?? list.addAtStart)?.();
        expect((await list.page({ limit: 2, fromEnd: false, after: first.positions[1] })).names).toEqual(['3', '4']);
        expect((await list.page({ limit: 2, fromEnd: true, before: last.positions[0] })).names).toEqual(['3', '4']);
        const all = await list.page({ limit: 10, fromEnd: false });
        expect(all.names.filter((found) => found !== 'new')).toEqual(['1', '2', '3', '4', '5', '6']);
        expect(all.names.indexOf('new')).toBe(list.addAtEnd ? 6 : 0);
        expect(all.positions.filter((_, index) => all.names[index] !== 'new').slice(0, 2)).toEqual(first.positions);
      });

      test('tells of what has been added behind it', async () => {
        const list = await listOf(2);
        const [first, second] = (await list.page({ limit: 2, fromEnd: false })).positions;
        const request = list.addAtEnd
          ? { limit: 1, fromEnd: false, after: first }
          : { limit: 1, fromEnd: true, before: second };
        const more = async () => {
          const page = await list.page(request);
          return list.addAtEnd ? page.hasNextPage : page.hasPreviousPage;
        };
        expect(await more()).toBe(false);
        await (list.addAtEnd ?? list.addAtStart)?.();
        expect(await more()).toBe(true);
      });
    });

    test('a page goes on from a chat that has been deleted since', async () => {
      for (const name of ['4', '3', '2', '1']) await addChat({ name });
      const page = await store.chats(OWNER, { limit: 2, fromEnd: false });
      await store.deleteChat(OWNER, page.items[1]?.node.id as string);
      const rest = await store.chats(OWNER, { limit: 2, fromEnd: false, after: page.items[1]?.position });
      expect(rest.items.map((item) => item.node.name)).toEqual(['3', '4']);
      expect(rest).toMatchObject({ hasPreviousPage: true, hasNextPage: false, totalCount: 3 });
    });

    describe('a client id', () => {
      test('adds a message once, however often it comes', async () => {
        const { id } = await addChat();
        const tries = Array.from({ length: 20 }, (_, index) => newMessage(id, { type: 'TEXT', text: String(index) }));
        const first = tries[0] as Message;
        expect(await store.addMessageOnce(OWNER, id, 'a', first)).toEqual(first);
        for (const message of tries) expect(await store.addMessageOnce(OWNER, id, 'a', message)).toEqual(first);
        const raced = await Promise.all(tries.map((message) => store.addMessageOnce(OWNER, id, 'b', message)));
        expect(new Set(raced.map((message) => message?.id)).size).toBe(1);
        await addTexts(id, 'without');
        expect(await textsOf(store, id)).toEqual(['0', textOf(raced[0] as Message), 'without']);
        expect(await store.messages(OWNER, id, { limit: 0, fromEnd: false })).toMatchObject({ totalCount: 3 });
      });

      test('of a message counts in its chat alone', async () => {
        const [one, other] = [await addChat(), await addChat()];
        for (const { id } of [one, other]) {
          const message = newMessage(id, { type: 'TEXT', text: id });
          expect(await store.addMessageOnce(OWNER, id, 'a', message)).toEqual(message);
        }
        expect(await textsOf(store, other.id)).toEqual([other.id]);
        const late = newMessage(one.id, { type: 'TEXT', text: 'late' });
        expect(await store.addMessageOnce('bob', one.id, 'a', late)).toBeUndefined();
        expect(await store.addMessageOnce('bob', one.id, 'b', late)).toBeUndefined();
        await store.deleteChat(OWNER, one.id);
        expect(await store.addMessageOnce(OWNER, one.id, 'a', late)).toBeUndefined();
        expect(await store.addMessageOnce(OWNER, UNKNOWN, 'a', late)).toBeUndefined();
      });

      test('adds a chat once, and returns it as it is by then', async () => {
        const [first, ...others] = Array.from({ length: 10 }, () => newChat({ owner: OWNER }));
        expect(await store.addChat(first as Chat, 'first', 'a')).toEqual(first);
        const added = await Promise.all(others.map((chat) => store.addChat(chat, 'other', 'a')));
        for (const chat of added) expect(chat).toEqual(first);
        expect(idsOf(await store.chats(OWNER, { limit: 9, fromEnd: false }))).toEqual([first?.id]);
        expect(await store.password(OWNER, first?.id as string)).toBe('first');
        await store.updateChat(OWNER, first?.id as string, { name: 'New' });
        expect(await store.addChat(newChat({ owner: OWNER }), 'other', 'a')).toEqual({ ...first, name: 'New' });
        expect(await store.chats(OWNER, { limit: 0, fromEnd: false })).toMatchObject({ totalCount: 1 });
      });

      test('of a chat counts for its owner alone, and until it is deleted', async () => {
        const [mine, theirs, later] = [newChat({ owner: OWNER }), newChat({ owner: 'bob' }), newChat({ owner: OWNER })];
        expect(await store.addChat(mine, 'secret', 'a')).toEqual(mine);
        expect(await store.addChat(theirs, 'secret', 'a')).toEqual(theirs);
        await store.deleteChat(OWNER, mine.id);
        expect(await store.addChat(later, 'secret', 'a')).toEqual(later);
      });
    });

    describe.each(['nul\0', '\0', 'half\ud83d', '\ude42'])('what no text can hold, like %j', (text) => {
      test('is no chat', async () => {
        const page = { limit: 10, fromEnd: false };
        // What half a character would become on its way.
        const { id } = await addChat({ id: text.replace(/\0|\p{Surrogate}/u, '\ufffd') });
        for (const [owner, chatId] of [
          [OWNER, text],
          [text, id],
          [text, text],
        ] as const) {
          const message = newMessage(chatId, { type: 'TEXT', text: 'lost' });
          expect(await store.chat(owner, chatId)).toBeUndefined();
          expect(await store.updateChat(owner, chatId, { name: 'New', password: 'new' })).toBeUndefined();
          expect(await store.deleteChat(owner, chatId)).toBe(false);
          expect(await store.password(owner, chatId)).toBeUndefined();
          expect(await store.addMessages(owner, chatId, [message])).toBe(false);
          expect(await store.addMessageOnce(owner, chatId, 'once', message)).toBeUndefined();
          expect(await store.messages(owner, chatId, page)).toBeUndefined();
          expect(await store.replica(owner, chatId)).toBeUndefined();
          expect(await store.deleteReplica(owner, chatId)).toBe(false);
        }
        expect(await store.chats(text, page)).toMatchObject({ items: [], totalCount: 0 });
        expect(await store.ownerOf(text)).toBeUndefined();
        expect(await store.saveReplica(newReplica(text))).toBe(false);
        expect(await store.updateReplica(text, (replica) => replica)).toBeUndefined();
        expect(await store.lastSequence(text)).toBe(0);
        expect(await store.access(text)).toBeUndefined();
        expect(await store.password(OWNER, id)).toBe('secret');
      });
    });

    describe("somebody else's chat", () => {
      const OTHER = 'bob';

      test('is as unknown as one that never was, whatever is asked of it', async () => {
        const chat = await addChat();
        const { id } = chat;
        await addTexts(id, 'mine');
        await store.saveReplica(newReplica(id));
        const page = { limit: 10, fromEnd: false };
        expect(await store.chat(OTHER, id)).toBeUndefined();
        expect(await store.updateChat(OTHER, id, { name: 'Theirs', password: 'theirs' })).toBeUndefined();
        expect(await store.deleteChat(OTHER, id)).toBe(false);
        expect(await store.password(OTHER, id)).toBeUndefined();
        expect(await store.addMessages(OTHER, id, [newMessage(id, { type: 'TEXT', text: 'theirs' })])).toBe(false);
        expect(await store.messages(OTHER, id, page)).toBeUndefined();
        expect(await store.replica(OTHER, id)).toBeUndefined();
        expect(await store.deleteReplica(OTHER, id)).toBe(false);
        expect(await store.chats(OTHER, page)).toEqual({
          items: [],
          hasNextPage: false,
          hasPreviousPage: false,
          totalCount: 0,
        });
        expect(await store.chat(OWNER, id)).toEqual(chat);
        expect(await store.password(OWNER, id)).toBe('secret');
        expect(await textsOf(store, id)).toEqual(['mine']);
        expect(await store.replica(OWNER, id)).toEqual(newReplica(id));
      });

      test('is in the list of its owner alone', async () => {
        const [mine, theirs, mineToo] = [await addChat(), await addChat({ owner: OTHER }), await addChat()];
        const page = { limit: 10, fromEnd: false };
        expect(idsOf(await store.chats(OWNER, page))).toEqual([mineToo.id, mine.id]);
        expect(idsOf(await store.chats(OTHER, page))).toEqual([theirs.id]);
        expect(await store.chats(OWNER, { limit: 1, fromEnd: false })).toMatchObject({ totalCount: 2 });
      });

      test('has an owner who can be asked for', async () => {
        const { id } = await addChat({ owner: OTHER });
        expect(await store.ownerOf(id)).toBe(OTHER);
        expect(await store.ownerOf(UNKNOWN)).toBeUndefined();
        await store.deleteChat(OTHER, id);
        expect(await store.ownerOf(id)).toBeUndefined();
      });
    });

    describe('a replica', () => {
      test('is given back as it was saved last', async () => {
        const { id } = await addChat();
        const replica = newReplica(id);
        expect(await store.replica(OWNER, id)).toBeUndefined();
        expect(await store.saveReplica(replica)).toBe(true);
        expect(await store.replica(OWNER, id)).toEqual(replica);
        const changed: Replica = {
          ...replica,
          server: null,
          serverVersion: null,
          sizeBytes: null,
          expiresAt: null,
          status: queued(id, replica.status.sequence, NOW),
        };
        expect(await store.saveReplica(changed)).toBe(true);
        expect(await store.replica(OWNER, id)).toEqual(changed);
      });

      test('is changed on the ground of what it is, and only where there is one', async () => {
        const { id } = await addChat();
        const change = (replica: Replica) => ({ ...replica, sizeBytes: (replica.sizeBytes ?? 0) + 1 });
        expect(await store.updateReplica(id, change)).toBeUndefined();
        await store.saveReplica({ ...newReplica(id), sizeBytes: 0 });
        await Promise.all(Array.from({ length: 20 }, () => store.updateReplica(id, change)));
        expect((await store.replica(OWNER, id))?.sizeBytes).toBe(20);
        expect(await store.updateReplica(UNKNOWN, change)).toBeUndefined();
      });

      test('is deleted once, without its chat', async () => {
        const { id } = await addChat();
        await store.saveReplica(newReplica(id));
        expect([await store.deleteReplica(OWNER, id), await store.deleteReplica(OWNER, id)]).toEqual([true, false]);
        expect(await store.replica(OWNER, id)).toBeUndefined();
        expect(await store.chat(OWNER, id)).toBeDefined();
      });

      test('is reached by what is kept for that, until it is deleted', async () => {
        const { id } = await addChat();
        const access = (serverId: string): ReplicaAccess => ({
          serverId,
          admin: { user: 'replichat_admin', password: 'c4nary', database: 'template1' },
          tenant: { user: 'üser', password: 'c4nary too', database: 'shop' },
          ttlSeconds: serverId === 'one' ? null : 60,
        });
        expect(await store.access(id)).toBeUndefined();
        await store.saveReplica(newReplica(id));
        expect(await store.saveAccess(id, access('one'))).toBe(true);
        expect(await store.access(id)).toEqual(access('one'));
        await store.saveAccess(id, access('other'));
        expect(await store.access(id)).toEqual(access('other'));
        expect(await store.password(OWNER, id)).toBe('secret');
        await store.deleteReplica(OWNER, id);
        expect(await store.access(id)).toBeUndefined();
        expect(await store.password(OWNER, id)).toBe('secret');
        expect(await store.saveAccess(UNKNOWN, access('one'))).toBe(false);
      });

      test('leaves its last sequence number behind when it is deleted', async () => {
        const { id } = await addChat();
        expect(await store.lastSequence(id)).toBe(0);
        await store.saveReplica(newReplica(id));
        expect(await store.lastSequence(id)).toBe(17);
        await store.deleteReplica(OWNER, id);
        expect(await store.lastSequence(id)).toBe(17);
        await store.saveReplica({ ...newReplica(id), status: queued(id, 17, NOW) });
        expect(await store.lastSequence(id)).toBe(18);
        expect(await store.lastSequence(UNKNOWN)).toBe(0);
      });

      test('may quote what no text can hold: U+0000, and half a character', async () => {
        const { id } = await addChat();
        const error = { code: 'SQL_ERROR', message: 'refused', statement: 'SELECT \0 \ud83d ...' };
        await store.saveReplica(newReplica(id));
        await store.updateReplica(id, (replica) => ({ ...replica, status: { ...replica.status, error } }));
        expect((await store.replica(OWNER, id))?.status.error?.statement).toMatch(/^SELECT . . \.\.\.$/su);
        expect(await store.lastSequence(id)).toBe(17);
        expect(await store.deleteReplica(OWNER, id)).toBe(true);
      });

      test('of an unknown chat is not kept', async () => {
        expect(await store.saveReplica(newReplica(UNKNOWN))).toBe(false);
        expect(await store.replica(OWNER, UNKNOWN)).toBeUndefined();
        expect(await store.deleteReplica(OWNER, UNKNOWN)).toBe(false);
      });
    });
  });
}

const NOW = new Date('2024-05-01T12:34:56.789Z');

function newMessage(chatId: string, content: MessageContent): Message {
  return { id: newId(), chatId, role: 'USER', content, createdAt: NOW };
}

/** One with something in every field. */
function newReplica(chatId: string): Replica {
  return {
    chatId,
    status: {
      chatId,
      sequence: 17,
      state: 'FAILED',
      step: 'INDEXES',
      percent: 62.3,
      bytesReceived: 5_000_000_000,
      bytesRestored: 4_999_999_999,
      bytesTotal: 5_000_000_000,
      tablesDone: 3,
      tablesTotal: 4,
      indexesDone: 1,
      indexesTotal: 9,
      current: ['public.events', 'index public."shelf mark"'],
      etaSeconds: 12,
      warningCount: 101,
      warnings: [
        { code: 'OWNERSHIP_SKIPPED', message: 'owners\nare "not" taken over 🙂', line: 3, object: 'public.a' },
      ],
      error: {
        code: 'SQL_ERROR',
        message: 'no',
        sqlstate: '42P01',
        line: 9,
        statement: 'SELECT',
        object: 'a',
        hint: 'b',
      },
      at: NOW,
      acceptedAt: new Date(NOW.getTime() - 12_345),
    },
    engine: 'docker',
    server: { id: 'replichat-a-b', instance: 'c' },
    serverVersion: '15.2',
    sizeBytes: 5_000_000_001,
    createdAt: NOW,
    lastUsedAt: new Date(NOW.getTime() + 1),
    expiresAt: new Date(NOW.getTime() + 86_400_000),
  };
}

/** A list of "1" to "n" in its own order, and how something is added to it. */
interface List {
  page(request: PageRequest): Promise<NamedPage>;
  addAtEnd?(): Promise<void>;
  addAtStart?(): Promise<void>;
}

type NamedPage = Omit<Page<unknown>, 'items'> & { names: string[]; positions: number[] };

function namesOf<T>({ items, ...page }: Page<T>, nameOf: (node: T) => string): NamedPage {
  return { ...page, names: items.map((item) => nameOf(item.node)), positions: items.map((item) => item.position) };
}

/** All names in the list's order, page by page from one end to the other. */
async function walk(list: List, limit: number, fromEnd: boolean): Promise<string[]> {
  const names: string[] = [];
  let page = await list.page({ limit, fromEnd });
  for (;;) {
    if (fromEnd) names.unshift(...page.names);
    else names.push(...page.names);
    if (!(fromEnd ? page.hasPreviousPage : page.hasNextPage)) return names;
    const edge = fromEnd ? { before: page.positions[0] } : { after: page.positions.at(-1) };
    page = await list.page({ limit, fromEnd, ...edge });
    expect(page.names.length).toBeGreaterThan(0);
  }
}

function idsOf(page: Page<Chat>): string[] {
  return page.items.map((item) => item.node.id);
}

function textOf(message: Message): string {
  return message.content.type === 'TEXT' ? message.content.text : '';
}

async function textsOf(store: ChatStore, chatId: string): Promise<string[] | undefined> {
  const page = await store.messages(OWNER, chatId, { limit: 500, fromEnd: false });
  return page?.items.map((item) => textOf(item.node));
}
