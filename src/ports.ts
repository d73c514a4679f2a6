import type { Duplex } from 'node:stream';
import type { Chat, ChatChanges } from './domain/chat.js';
import type { Message } from './domain/message.js';
import type { Page, PageRequest } from './domain/pagination.js';
import type { Replica, ReplicationStatus } from './domain/replica.js';

/**
 * Keeps chats, their source passwords, messages and replicas. What a call has resolved for is there for the next call.
 * Calls for an unknown chat resolve with undefined or false and change nothing; somebody else's chat is as unknown as
 * one that never was. Calls without an owner are the server's own.
 */
export interface ChatStore {
  /** Adds the chat, or resolves with the one that its owner has already added under this client id. */
  addChat(chat: Chat, password: string, clientId?: string): Promise<Chat>;
  /** For those who prove themselves otherwise than by being the owner. */
  ownerOf(chatId: string): Promise<string | undefined>;
  chat(owner: string, id: string): Promise<Chat | undefined>;
  /** Those of the owner, newest first. */
  chats(owner: string, page: PageRequest): Promise<Page<Chat>>;
  updateChat(owner: string, id: string, changes: ChatChanges): Promise<Chat | undefined>;
  /** Its messages, its password and its replica go with it. */
  deleteChat(owner: string, id: string): Promise<boolean>;
  /** The password of the source database. */
  password(owner: string, chatId: string): Promise<string | undefined>;

  /** All of them or, for an unknown chat, none. */
  addMessages(owner: string, chatId: string, messages: readonly Message[]): Promise<boolean>;
  /** Adds the message, or resolves with the one that has already been added to the chat under this client id. */
  addMessageOnce(owner: string, chatId: string, clientId: string, message: Message): Promise<Message | undefined>;
  /** Oldest first. */
  messages(owner: string, chatId: string, page: PageRequest): Promise<Page<Message> | undefined>;

  replica(owner: string, chatId: string): Promise<Replica | undefined>;
  deleteReplica(owner: string, chatId: string): Promise<boolean>;
  /** Of the chat's replications, deleted ones included; 0 when there was none. */
  lastSequence(chatId: string): Promise<number>;
  /** How to get into the replica's server; goes with the replica. */
  saveAccess(chatId: string, access: ReplicaAccess): Promise<boolean>;
  access(chatId: string): Promise<ReplicaAccess | undefined>;
  saveReplica(replica: Replica): Promise<boolean>;
  /** Nothing comes between the reading that `change` is given and the writing of what it returns. */
  updateReplica(chatId: string, change: (replica: Replica) => Replica): Promise<Replica | undefined>;
  close(): Promise<void>;
}

/** What the server needs to use a replica that another one has made. Holds passwords: never logged, stored encrypted. */
export interface ReplicaAccess {
  readonly serverId: string;
  readonly admin: ReplicaServer['admin'];
  readonly tenant: { readonly user: string; readonly password: string; readonly database: string };
  /** null for as long as the server. */
  readonly ttlSeconds: number | null;
}

/** Who of the servers that share a store is busy with which chat. What a server had that is gone, another one takes over. */
export interface Registry {
  /** Says that this server lives and has claimed these chats, and no others. False when it was taken for gone. */
  renew(held: readonly string[]): Promise<boolean>;
  /** False while another server has it, or when there is no such chat. */
  claim(chatId: string): Promise<boolean>;
  release(chatId: string): Promise<void>;
  /** Claims the chats with a replica in the making, or in use, that a server has left. */
  takeOver(): Promise<Inheritance[]>;
  living(): Promise<Living>;
  /** Gives all of it free. */
  close(): Promise<void>;
}

/** By their names: the servers that live, and the PostgreSQL servers that are in use. */
export interface Living {
  readonly instances: ReadonlySet<string>;
  readonly servers: ReadonlySet<string>;
}

export interface Inheritance {
  readonly chatId: string;
  /** Nobody answers for the PostgreSQL server in use, if there is one. */
  readonly isServerLeft: boolean;
}

export interface Events {
  replication: ReplicationStatus;
  message: Message;
  /** The chat (deleted: true) or only its replica is gone. */
  removed: { chatDeleted: boolean };
  /** Whoever is busy with the chat is asked to end a replication up to this one. */
  stop: { sequence: number };
}

/** Tells every listener of a chat what happened, in the order in which it was published. */
export interface EventBus {
  publish<K extends keyof Events>(kind: K, chatId: string, event: Events[K]): Promise<void>;
  /** Listening has begun when the call returns. A listener never throws. Returns what ends it. */
  subscribe<K extends keyof Events>(kind: K, chatId: string, listener: (event: Events[K]) => void): () => void;
  /**
   * Calls the listener whenever events may have been missed, and are heard again: what they told of has to be read from
   * the store. Returns what ends it.
   */
  onMissed(listener: () => void): () => void;
}

/** Runs PostgreSQL servers. Of a chat it knows only the id that it labels the server with. */
export interface ReplicaEngine {
  /** As in `Replica.engine`: "docker", "embedded". */
  readonly name: string;
  /** One line for people: what runs the replicas, and what that does not isolate. */
  readonly description: string;
  /** Whether its servers have `convertArchive`. */
  readonly convertsArchives: boolean;
  /** Throws ENGINE_UNAVAILABLE, with the remedy, when no server could be provisioned now. */
  check(): Promise<void>;
  /** Servers for major versions with the same answer are the same, and one may be had for the other. */
  serverFor(majorVersion: number | undefined): string;
  /** A server is likely to be asked for soon: what can be done ahead of it may be done now. */
  expectUse?(): void;
  /**
   * Starts a server and resolves when it accepts connections. On failure and on abort nothing of it is left.
   * Throws ENGINE_UNAVAILABLE, or the signal's reason.
   */
  provision(request: ProvisionRequest): Promise<ReplicaServer>;
  /**
   * A server that another engine on the same store has provisioned, or this one before it left it. Rejects with
   * ENGINE_UNAVAILABLE when nobody can tell whether it runs, and otherwise when it does not. Without this method, servers
   * end with their engine.
   */
  attach?(serverId: string, admin: ReplicaServer['admin']): Promise<ReplicaServer>;
  /**
   * Removes what has been left behind by engines that are gone (a killed server) and resolves with how many. What of the
   * store is still needed, `living` tells.
   */
  reap(living?: () => Promise<Living>): Promise<number>;
  /** Disposes every server that it still runs and has not left. */
  close(): Promise<void>;
}

export interface ProvisionRequest {
  /** Whom the server is for; undefined when it is started ahead of need. */
  chatId: string | undefined;
  /** The major version of PostgreSQL that the database came from; undefined when the dump does not say. */
  majorVersion: number | undefined;
  signal: AbortSignal;
  /** What takes time, in words: "pulling image postgres:17, 45 of 150 MB". */
  onProgress: (activity: string) => void;
}

/** A running PostgreSQL server that belongs to nobody but us: no chat's role or database exists in it yet. */
export interface ReplicaServer {
  /** The name with which the container or the process was started, for logs. */
  readonly id: string;
  /** The bootstrap superuser, and a maintenance database that never holds a chat's objects. */
  readonly admin: { readonly user: string; readonly password: string; readonly database: string };
  /** Cores that it may use. */
  readonly cpus: number;
  /** Gives a server that was started ahead of need to a chat. Rejects when it does not run any more. */
  assign(chatId: string): Promise<void>;
  /** A byte stream to the server's PostgreSQL port; destroying it ends the session. */
  open(): Promise<Duplex>;
  /**
   * The script that an archive of pg_dump (custom or tar format) stands for, made by the server's own pg_restore while
   * the archive arrives. Nothing of it is trusted. Throws what `archive` throws, the signal's reason, or
   * UNSUPPORTED_DUMP with pg_restore's last words, `hint`, and `cutOff` when the archive ends too early. Leaving it does
   * not wait for `archive`.
   */
  convertArchive?(archive: AsyncGenerator<Buffer, void>, signal: AbortSignal): AsyncGenerator<Buffer, void>;
  /** Resolves when the server has stopped for whatever reason, `dispose` included. */
  readonly stopped: Promise<ServerStop>;
  /** Why sessions are being lost, when the engine knows: asked after a connection broke. */
  fault(): Promise<ServerStop | undefined>;
  /** Ends what goes through this engine, and lets the server run, for others to attach. As the engine has `attach`. */
  leave?(): Promise<void>;
  /** Stops it and removes all of it: process, container, volume, files. Safe to call more than once. */
  dispose(): Promise<void>;
}

export interface ServerStop {
  reason: 'DISPOSED' | 'OUT_OF_MEMORY' | 'DISK_FULL' | 'EXITED';
  /** In words, with the limit that was hit: "out of memory: the replica may use 1 GiB (REPLICA_MEMORY)". */
  message: string;
}

/** Tells whom a request comes from. */
export interface Authenticator {
  /** By the value of its Authorization header. Throws UNAUTHENTICATED; with `reason: EXPIRED`, a new token helps. */
  identify(authorization: string | undefined): Promise<Identity>;
}

export interface Identity {
  /** Whose chats it may see. */
  readonly owner: string;
  /** From when on it is nobody's any more; undefined for never. */
  readonly expiresAt: Date | undefined;
}
