import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { Database } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrate.js';
import { newId } from '../../src/domain/ids.js';
import type { Message } from '../../src/domain/message.js';
import type { ChatStore } from '../../src/ports.js';
import { Keyring } from '../../src/stores/keyring.js';
import { MemoryChatStore } from '../../src/stores/memory.js';
import { PostgresChatStore } from '../../src/stores/postgres.js';
import { newChat } from '../support/chats.js';
import { TestDatabase } from '../support/database.js';
import { heldBytes, least } from '../support/measure.js';

/** `MESSAGES=1000000 CHATS=10000 npm test -- test/stores/history` measures what the README promises. */
const MESSAGES = Number(process.env.MESSAGES ?? 20_000);
const CHATS = Number(process.env.CHATS ?? 500);
/** The half of all messages is in one chat. */
const LONG = MESSAGES / 2;
const SHORT = Math.floor((MESSAGES - LONG) / (CHATS - 1));
const ROUNDS = 100;
/** Of the median: a busy machine is slower now and then. */
const QUICK_MS = 10;
const OWNER = 'ann';

describe(`${MESSAGES} messages in ${CHATS} chats:`, () => {
  let server: TestDatabase;

  beforeAll(async () => {
    server = await TestDatabase.start();
  });
  afterAll(() => server?.remove());

  const STORES: [string, () => Promise<ChatStore>][] = [
    ['MemoryChatStore', async () => new MemoryChatStore()],
    [
      'PostgresChatStore',
      async () => {
        const logger = pino({ level: 'silent' });
        const url = await server.createDatabase();
        await migrate(url, logger);
        return new PostgresChatStore(new Database(url, logger), new Keyring([{ id: 'k', secret: Buffer.alloc(32) }]));
      },
    ],
  ];

  test.each(STORES)(
    'any page of 50 comes from %s in a few milliseconds',
    async (name, create) => {
      const store = await create();
      try {
        const before = heldBytes();
        const startedAt = performance.now();
        const long = await fill(store);
        const seconds = (performance.now() - startedAt) / 1000;
        const mebibytes = (heldBytes() - before) / 1024 ** 2;
        const first = (await store.messages(OWNER, long, { limit: 1, fromEnd: false }))?.items[0]?.position as number;
        const middleOfChats = (await store.chats(OWNER, { limit: 500, fromEnd: false })).items.at(-1)
          ?.position as number;
        const middle = name === 'MemoryChatStore' ? first + LONG : first + LONG / 2;
        const medians = {
          'newest messages': await quickly(() => store.messages(OWNER, long, { limit: 50, fromEnd: true }), LONG),
          'oldest messages': await quickly(() => store.messages(OWNER, long, { limit: 50, fromEnd: false }), LONG),
          'messages of the middle': await quickly(
            () => store.messages(OWNER, long, { limit: 50, fromEnd: true, before: middle }),
            LONG,
          ),
          'newest chats': await quickly(() => store.chats(OWNER, { limit: 50, fromEnd: false }), CHATS),
          'chats further on': await quickly(
            () => store.chats(OWNER, { limit: 50, fromEnd: false, after: middleOfChats + 100 }),
            CHATS,
          ),
        };
        const figures = Object.entries(medians).map(([what, ms]) => `${what} ${ms.toFixed(2)} ms`);
        process.stdout.write(
          `${name}, ${MESSAGES} messages in ${CHATS} chats: filled in ${seconds.toFixed(1)} s, ${mebibytes.toFixed(0)} MiB ` +
            `of heap; medians of a page of 50: ${figures.join(', ')}\n`,
        );
        for (const [what, ms] of Object.entries(medians)) expect([what, ms < QUICK_MS]).toEqual([what, true]);
      } finally {
        await store.close();
      }
    },
    600_000,
  );
});

/** The id of the long chat, whose messages come between those of the others. */
async function fill(store: ChatStore): Promise<string> {
  const ids: string[] = [];
  for (let index = 0; index < CHATS; index += 1) {
    const chat = newChat({ owner: OWNER, name: `Chat ${index}` });
    ids.push(chat.id);
    await store.addChat(chat, 'secret');
  }
  const [long, ...others] = ids as [string, ...string[]];
  const atOnce = Math.ceil(LONG / others.length);
  let left = LONG;
  for (const id of others) {
    await store.addMessages(OWNER, id, texts(id, SHORT));
    const count = Math.min(left, atOnce);
    left -= count;
    await store.addMessages(OWNER, long, texts(long, count));
  }
  return long;
}

type Page = { items: readonly unknown[]; totalCount: number } | undefined;

/** The median, of other rounds when these were slow. */
function quickly(page: () => Promise<Page>, count: number): Promise<number> {
  return least(QUICK_MS, () => median(page, count));
}

async function median(page: () => Promise<Page>, count: number): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = performance.now();
    const found = await page();
    times.push(performance.now() - start);
    expect([found?.items.length, found?.totalCount]).toEqual([50, count]);
  }
  return times.sort((a, b) => a - b)[ROUNDS / 2] as number;
}

function texts(chatId: string, count: number): Message[] {
  return Array.from({ length: count }, (_, index) => ({
    id: newId(),
    chatId,
    role: 'USER' as const,
    content: { type: 'TEXT' as const, text: asReceived(`How many books were lent in week ${index}, and to whom?`) },
    createdAt: new Date(),
  }));
}

/** In one piece, as a parser makes it. */
function asReceived(text: string): string {
  return Buffer.from(text).toString();
}
