import type { Chat, ChatChanges } from '../domain/chat.js';
import type { Message } from '../domain/message.js';
import type { Page, PageRequest } from '../domain/pagination.js';
import type { Replica } from '../domain/replica.js';
import type { ChatStore, ReplicaAccess } from '../ports.js';

interface Positioned<T> {
  readonly position: number;
  node: T;
}

interface ChatEntry {
  readonly listed: Positioned<Chat>;
  readonly clientId: string | undefined;
  password: string;
  readonly messages: Positioned<Message>[];
  readonly messagesByClientId: Map<string, Message>;
  replica?: Replica;
  access?: ReplicaAccess;
  lastSequence: number;
}

interface OwnerEntry {
  /** Oldest first. */
  readonly chats: Positioned<Chat>[];
  readonly chatsByClientId: Map<string, Positioned<Chat>>;
}

/** A ChatStore that lives as long as the process. */
export class MemoryChatStore implements ChatStore {
  readonly #chats = new Map<string, ChatEntry>();
  readonly #owners = new Map<string, OwnerEntry>();
  #lastPosition = 0;

  async addChat(chat: Chat, password: string, clientId?: string): Promise<Chat> {
    const owner = this.#ownerEntry(chat.owner);
    const earlier = clientId === undefined ? undefined : owner.chatsByClientId.get(clientId);
    if (earlier) return earlier.node;
    const listed = { position: this.#nextPosition(), node: chat };
    owner.chats.push(listed);
    if (clientId !== undefined) owner.chatsByClientId.set(clientId, listed);
    const messages = { messages: [], messagesByClientId: new Map() };
    this.#chats.set(chat.id, { listed, clientId, password, ...messages, lastSequence: 0 });
    return chat;
  }

  async ownerOf(chatId: string): Promise<string | undefined> {
    return this.#chats.get(chatId)?.listed.node.owner;
  }

  async chat(owner: string, id: string): Promise<Chat | undefined> {
    return this.#entry(owner, id)?.listed.node;
  }

  async chats(owner: string, page: PageRequest): Promise<Page<Chat>> {
    const oldestFirst = this.#owners.get(owner)?.chats ?? [];
    return reversed(slice(oldestFirst, reversedRequest(page)));
  }

  async updateChat(owner: string, id: string, { password, ...changes }: ChatChanges): Promise<Chat | undefined> {
    const entry = this.#entry(owner, id);
    if (!entry) return undefined;
    entry.listed.node = { ...entry.listed.node, ...changes };
    entry.password = password ?? entry.password;
    return entry.listed.node;
  }

  async deleteChat(owner: string, id: string): Promise<boolean> {
    const entry = this.#entry(owner, id);
    if (!entry) return false;
    const { chats, chatsByClientId } = this.#ownerEntry(owner);
    chats.splice(firstIndex(chats, entry.listed.position), 1);
    if (entry.clientId !== undefined) chatsByClientId.delete(entry.clientId);
    return this.#chats.delete(id);
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

  async addMessageOnce(
    owner: string,
    chatId: string,
    clientId: string,
    message: Message,
  ): Promise<Message | undefined> {
    const entry = this.#entry(owner, chatId);
    const earlier = entry?.messagesByClientId.get(clientId);
    if (!entry || earlier) return earlier;
    entry.messages.push({ position: this.#nextPosition(), node: message });
    entry.messagesByClientId.set(clientId, message);
    return message;
  }

  async messages(owner: string, chatId: string, page: PageRequest): Promise<Page<Message> | undefined> {
    const entry = this.#entry(owner, chatId);
    return entry && slice(entry.messages, page);
  }

  async replica(owner: string, chatId: string): Promise<Replica | undefined> {
    return this.#entry(owner, chatId)?.replica;
  }

  async deleteReplica(owner: string, chatId: string): Promise<boolean> {
    const entry = this.#entry(owner, chatId);
    if (!entry?.replica) return false;
    entry.lastSequence = entry.replica.status.sequence;
    delete entry.replica;
    delete entry.access;
    return true;
  }

  async lastSequence(chatId: string): Promise<number> {
    const entry = this.#chats.get(chatId);
    return entry?.replica?.status.sequence ?? entry?.lastSequence ?? 0;
  }

  async saveAccess(chatId: string, access: ReplicaAccess): Promise<boolean> {
    const entry = this.#chats.get(chatId);
    if (entry) entry.access = access;
    return entry !== undefined;
  }

  async access(chatId: string): Promise<ReplicaAccess | undefined> {
    return this.#chats.get(chatId)?.access;
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

  #ownerEntry(owner: string): OwnerEntry {
    const entry = this.#owners.get(owner) ?? { chats: [], chatsByClientId: new Map() };
    this.#owners.set(owner, entry);
    return entry;
  }

  #nextPosition(): number {
    this.#lastPosition += 1;
    return this.#lastPosition;
  }
}

/** Positions rise along the list, so that both ends of the range are found by halving, however long the list is. */
function slice<T>(list: readonly Positioned<T>[], page: PageRequest): Page<T> {
  const start = page.after === undefined ? 0 : firstIndex(list, page.after + 1);
  const end = page.before === undefined ? list.length : firstIndex(list, page.before);
  const from = page.fromEnd ? Math.max(start, end - page.limit) : start;
  const to = page.fromEnd ? end : Math.min(end, start + page.limit);
  return {
    items: list.slice(from, Math.max(from, to)).map(({ node, position }) => ({ node, position })),
    hasPreviousPage: from > 0,
    hasNextPage: to < list.length,
    totalCount: list.length,
  };
}

/** Index of the first item at this position or later. */
function firstIndex<T>(list: readonly Positioned<T>[], position: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] as Positioned<T>).position < position) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The same page of the list the other way round. */
function reversedRequest({ limit, fromEnd, after, before }: PageRequest): PageRequest {
  return {
    limit,
    fromEnd: !fromEnd,
    ...(before !== undefined && { after: before }),
    ...(after !== undefined && { before: after }),
  };
}

function reversed<T>({ items, hasPreviousPage, hasNextPage, totalCount }: Page<T>): Page<T> {
  return { items: items.toReversed(), hasPreviousPage: hasNextPage, hasNextPage: hasPreviousPage, totalCount };
}
