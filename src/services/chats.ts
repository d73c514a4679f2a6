import {
  type Chat,
  type ChatChanges,
  type Credentials,
  chatNotFound,
  type Dbms,
  type Environment,
  validateChat,
  validateClientId,
} from '../domain/chat.js';
import { newId } from '../domain/ids.js';
import { type ContentInput, contentOf, type Message, type MessageContent, type Role } from '../domain/message.js';
import { type Page, type PageArguments, pageRequest } from '../domain/pagination.js';
import type { ChatStore, EventBus } from '../ports.js';
import type { ReplicaService } from './replicas.js';
import { watchMessages } from './watch.js';

export interface NewChat {
  name: string;
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  dbms: Dbms;
  environment: Environment;
  clientId?: string | null;
}

export interface NewMessage {
  role: Role;
  content: ContentInput;
  clientId?: string | null;
}

const DEFAULT_PAGE = 50;

/** The rules of chats, their messages and their credentials. Every method throws NOT_FOUND for an unknown chat, as somebody else's is. */
export class ChatService {
  constructor(
    private readonly store: ChatStore,
    private readonly events: EventBus,
    private readonly replicas: ReplicaService,
    private readonly limits: { readonly maxMessageBytes: number },
  ) {}

  /** With a client id that the owner has used before, it is the chat of then. */
  async create(owner: string, { password, clientId, ...details }: NewChat): Promise<Chat> {
    validateChat({ ...details, password });
    validateClientId(clientId);
    const chat: Chat = { id: newId(), owner, ...details, createdAt: new Date() };
    const added = await this.store.addChat(chat, password, clientId ?? undefined);
    this.replicas.expectUpload();
    return added;
  }

  async update(owner: string, id: string, changes: ChatChanges): Promise<Chat> {
    validateChat(changes);
    return (await this.store.updateChat(owner, id, changes)) ?? this.#missing(id);
  }

  async delete(owner: string, id: string): Promise<void> {
    await this.chat(owner, id);
    await this.replicas.removeWithChat(id, async () => {
      if (!(await this.store.deleteChat(owner, id))) this.#missing(id);
    });
    await this.events.publish('removed', id, { chatDeleted: true });
  }

  async find(owner: string, id: string): Promise<Chat | undefined> {
    return this.store.chat(owner, id);
  }

  async chat(owner: string, id: string): Promise<Chat> {
    return (await this.store.chat(owner, id)) ?? this.#missing(id);
  }

  /** Newest first, 50 by default. */
  async list(owner: string, page: PageArguments): Promise<Page<Chat>> {
    return this.store.chats(owner, pageRequest(page, { limit: DEFAULT_PAGE, fromEnd: false }));
  }

  /** The source database's, password included. */
  async credentials(owner: string, chatId: string): Promise<Credentials> {
    const { host, port, user, database, dbms, environment } = await this.chat(owner, chatId);
    const password = (await this.store.password(owner, chatId)) ?? this.#missing(chatId);
    return { chatId, host, port, user, password, database, dbms, environment };
  }

  /** With a client id that was used in this chat before, it is the message of then. */
  async post(owner: string, chatId: string, { role, content, clientId }: NewMessage): Promise<Message> {
    validateClientId(clientId);
    const message = newMessage(chatId, role, contentOf(content, this.limits.maxMessageBytes));
    if (clientId == null) {
      await this.add(owner, chatId, [message]);
      return message;
    }
    const added = (await this.store.addMessageOnce(owner, chatId, clientId, message)) ?? this.#missing(chatId);
    if (added.id === message.id) await this.events.publish('message', chatId, message);
    return added;
  }

  /** All of them or none. */
  async add(owner: string, chatId: string, messages: readonly Message[]): Promise<void> {
    if (!(await this.store.addMessages(owner, chatId, messages))) this.#missing(chatId);
    for (const message of messages) await this.events.publish('message', chatId, message);
  }

  /** Oldest first, by default the newest 50. */
  async messages(owner: string, chatId: string, page: PageArguments): Promise<Page<Message>> {
    const request = pageRequest(page, { limit: DEFAULT_PAGE, fromEnd: true });
    return (await this.store.messages(owner, chatId, request)) ?? this.#missing(chatId);
  }

  /** Every message from now on, until the chat is deleted. Listening has begun when the call resolves. */
  async watchMessages(owner: string, chatId: string, signal: AbortSignal): Promise<AsyncIterableIterator<Message>> {
    return watchMessages(this.store, this.events, { owner, chatId, signal });
  }

  #missing(chatId: string): never {
    throw chatNotFound(chatId);
  }
}

export function newMessage(chatId: string, role: Role, content: MessageContent): Message {
  return { id: newId(), chatId, role, content, createdAt: new Date() };
}
