import type { Chat, ChatChanges } from '../domain/chat.js';
import type { Message } from '../domain/message.js';
import type { Page, PageRequest } from '../domain/pagination.js';
import { LIVE_STATES, type Replica } from '../domain/replica.js';
import type { ChatStore } from '../ports.js';

interface Positioned<T> {
  readonly position: number;
  node: T;
}

interface ChatEntry {
  readonly listed: Positioned<Chat>;
  password: string;
  readonly messages: Positioned<Message>[];
  replica?: Replica;
  lastSequence: number;
}

/** A ChatStore that lives as long as the process. */
export class MemoryChatStore implements ChatStore {
  /** By id, oldest first: a Map keeps the order of insertion. */
  readonly #chats = new Map<string, ChatEntry>();
  #lastPosition = 0;

  async addChat(chat: Chat, password: string): Promise<void> {
    this.#chats.set(chat.id, {
      listed: { position: this.#nextPosition(), node: chat },
      password,
      messages: [],
      lastSequence: 0,
    });
  }

  async ownerOf(chatId: string): Promise<string | undefined> {
    return this.#chats.get(chatId)?.listed.node.owner;
  }

  async chat(owner: string, id: string): Promise<Chat | undefined> {
    return this.#entry(owner, id)?.listed.node;
  }

  async chats(owner: string, page: PageRequest): Promise<Page<Chat>> {
    const listed = [...this.#chats.values()].map((entry) => entry.listed);
    const newestFirst = listed.filter(({ node }) => node.owner === owner).reverse();
    return slice(newestFirst, page, (position) => -position);
  }

  async updateChat(owner: string, id: string, { password, ...changes }: ChatChanges): Promise<Chat | undefined> {
    const entry = this.#entry(owner, id);
    if (!entry) return undefined;
    entry.listed.node = { ...entry.listed.node, ...changes };
    entry.password = password ?? entry.password;
    return entry.listed.node;
  }

  async deleteChat(owner: string, id: string): Promise<boolean> {
    return this.#entry(owner, id) !== undefined && this.#chats.delete(id);
  }

  async password(owner: string, chatId: string): Promise<string | undefined> {
    return this.#entry(owner, chatId)?.password;
  }

  async addMessages(owner: string, chatId: string, messages: readonly Message[]): Promise<boolean> {
    const entry = this.#entry(owner, chatId);
    if (!entry) return false;
    for (const node of messages) entry.messages.push({ position: this.#nextPosition(), node });
    return true;
  }

  async messages(owner: string, chatId: string, page: PageRequest): Promise<Page<Message> | undefined> {
    const entry = this.#entry(owner, chatId);
    return entry && slice(entry.messages, page, (position) => position);
  }

  async replica(owner: string, chatId: string): Promise<Replica | undefined> {
    return this.#entry(owner, chatId)?.replica;
  }

  async deleteReplica(owner: string, chatId: string): Promise<boolean> {
    const entry = this.#entry(owner, chatId);
    if (!entry?.replica) return false;
    entry.lastSequence = entry.replica.status.sequence;
    delete entry.replica;
    return true;
  }

  async lastSequence(chatId: string): Promise<number> {
    const entry = this.#chats.get(chatId);
    return entry?.replica?.status.sequence ?? entry?.lastSequence ?? 0;
  }

  async liveReplicas(): Promise<Replica[]> {
    return [...this.#chats.values()].flatMap(({ replica }) =>
      replica && LIVE_STATES.includes(replica.status.state) ? replica : [],
    );
  }

  async saveReplica(replica: Replica): Promise<boolean> {
    const entry = this.#chats.get(replica.chatId);
    if (entry) entry.replica = replica;
    return entry !== undefined;
  }

  async updateReplica(chatId: string, change: (replica: Replica) => Replica): Promise<Replica | undefined> {
    const entry = this.#chats.get(chatId);
    if (entry?.replica) entry.replica = change(entry.replica);
    return entry?.replica;
  }

  async close(): Promise<void> {}

  #entry(owner: string, chatId: string): ChatEntry | undefined {
    const entry = this.#chats.get(chatId);
    return entry?.listed.node.owner === owner ? entry : undefined;
  }

  #nextPosition(): number {
    this.#lastPosition += 1;
    return this.#lastPosition;
  }
}

/** `rank` rises along the list, so that both ends of the range are found by halving, however long the list is. */
function slice<T>(list: readonly Positioned<T>[], page: PageRequest, rank: (position: number) => number): Page<T> {
  const start = page.after === undefined ? 0 : firstIndex(list, rank, rank(page.after), true);
  const end = page.before === undefined ? list.length : firstIndex(list, rank, rank(page.before), false);
  const from = page.fromEnd ? Math.max(start, end - page.limit) : start;
  const to = page.fromEnd ? end : Math.min(end, start + page.limit);
  return {
    items: list.slice(from, Math.max(from, to)).map(({ node, position }) => ({ node, position })),
    hasPreviousPage: from > 0,
    hasNextPage: to < list.length,
    totalCount: list.length,
  };
}

/** Index of the first item with a rank of at least `bound`, or beyond it when `beyond`. */
function firstIndex<T>(
  list: readonly Positioned<T>[],
  rank: (position: number) => number,
  bound: number,
  beyond: boolean,
): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const at = rank((list[middle] as Positioned<T>).position);
    if (at < bound || (beyond && at === bound)) low = middle + 1;
    else high = middle;
  }
  return low;
}
