import { type Database, isUniqueViolation } from '../database/database.js';
import type { Chat, ChatChanges } from '../domain/chat.js';
import type { Message } from '../domain/message.js';
import type { Page, PageRequest } from '../domain/pagination.js';
import type { Replica } from '../domain/replica.js';
import type { ChatStore, ReplicaAccess } from '../ports.js';
import type { Keyring } from './keyring.js';

const CHAT = 'id, owner, name, host, port, "user", database, dbms, environment, created_at AS "createdAt"';
const MESSAGE = 'id, chat_id AS "chatId", role, content, created_at AS "createdAt"';
const REPLICA = `replica.chat_id AS "chatId", status, engine, server_id, instance, server_version AS "serverVersion",
  size_bytes AS "sizeBytes", replica.created_at AS "createdAt", last_used_at AS "lastUsedAt", expires_at AS "expiresAt"`;

const SOURCE_PASSWORD = 'source';
const REPLICA_ACCESS = 'replica';

type Positioned<T> = T & { readonly position: number };

/** A ChatStore in the schema `replichat` of a PostgreSQL, which several servers may share. */
export class PostgresChatStore implements ChatStore {
  constructor(
    private readonly database: Database,
    private readonly keyring: Keyring,
  ) {}

  async addChat(chat: Chat, password: string, clientId?: string): Promise<Chat> {
    const earlier = () => this.#chatOfClient(chat.owner, clientId as string);
    return orEarlier(clientId, earlier, () => this.#addChat(chat, password, clientId));
  }

  async #chatOfClient(owner: string, clientId: string): Promise<Chat | undefined> {
    const { rows } = await this.database.query<Chat & Row>(
      `SELECT ${CHAT} FROM replichat.chat WHERE owner = $1 AND client_id = $2`,
      [owner, clientId],
    );
    return rows[0];
  }

  async #addChat(chat: Chat, password: string, clientId: string | undefined): Promise<Chat> {
    const { id, owner, name, host, port, user, database, dbms, environment, createdAt } = chat;
    return this.database.transaction(async (session) => {
      const { rows } = await session.query<{ last_position: number }>(
        `INSERT INTO replichat.owner AS owner VALUES ($1, 1, 1) ON CONFLICT (id) DO UPDATE
         SET chat_count = owner.chat_count + 1, last_position = owner.last_position + 1 RETURNING last_position`,
        [owner],
      );
      await session.query(
        `INSERT INTO replichat.chat
         (id, owner, position, client_id, name, host, port, "user", database, dbms, environment, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
        [id, owner, rows[0]?.last_position, clientId, name, host, port, user, database, dbms, environment, createdAt],
      );
      await this.#saveSecret(session, id, SOURCE_PASSWORD, password);
      return chat;
    });
  }

  async #saveSecret(session: Pick<Database, 'query'>, chatId: string, field: string, secret: string): Promise<boolean> {
    const { rowCount } = await session.query(
      `INSERT INTO replichat.secret SELECT id, $2, $3 FROM replichat.chat WHERE id = $1 FOR KEY SHARE
       ON CONFLICT (chat_id, field) DO UPDATE SET envelope = excluded.envelope`,
      [chatId, field, this.keyring.seal({ chatId, field }, secret)],
    );
    return rowCount === 1;
  }

  async ownerOf(chatId: string): Promise<string | undefined> {
    const { rows } = await this.database.query('SELECT owner FROM replichat.chat WHERE id = $1', [chatId]);
    return rows[0]?.owner;
  }

  async chat(owner: string, id: string): Promise<Chat | undefined> {
    const { rows } = await this.database.query<Chat & Row>(
      `SELECT ${CHAT} FROM replichat.chat WHERE id = $2 AND owner = $1`,
      [owner, id],
    );
    return rows[0];
  }

  async chats(owner: string, page: PageRequest): Promise<Page<Chat>> {
    const { limit, fromEnd, after = MOST, before = 0 } = page;
    const { rows } = await this.database.query<Positioned<Chat> & Row>(
      `SELECT ${CHAT}, position FROM replichat.chat WHERE owner = $1 AND position < $2 AND position > $3
       ORDER BY position ${fromEnd ? 'ASC' : 'DESC'} LIMIT $4`,
      [owner, after, before, limit],
    );
    const items = itemsOf(fromEnd ? rows.reverse() : rows);
    // Of an empty page, both ends are where it would have begun.
    const edge = fromEnd ? before : after - 1;
    const [first, last] = [items[0]?.position ?? edge, items.at(-1)?.position ?? edge + 1];
    const around = await this.database.query(
      `SELECT EXISTS (SELECT FROM replichat.chat WHERE owner = $1 AND position > $2) AS "hasPreviousPage",
              EXISTS (SELECT FROM replichat.chat WHERE owner = $1 AND position < $3) AS "hasNextPage",
              coalesce((SELECT chat_count FROM replichat.owner WHERE id = $1), 0) AS "totalCount"`,
      [owner, first, last],
    );
    return { items, ...(around.rows[0] as Omit<Page<Chat>, 'items'>) };
  }

  async updateChat(owner: string, id: string, { password, ...changes }: ChatChanges): Promise<Chat | undefined> {
    const { name, host, port, user, database, environment } = changes;
    return this.database.transaction(async (session) => {
      const { rows } = await session.query<Chat & Row>(
        `UPDATE replichat.chat SET name = coalesce($3, name), host = coalesce($4, host), port = coalesce($5, port),
         "user" = coalesce($6, "user"), database = coalesce($7, database), environment = coalesce($8, environment)
         WHERE id = $2 AND owner = $1 RETURNING ${CHAT}`,
        [owner, id, name, host, port, user, database, environment],
      );
      if (rows[0] && password !== undefined) await this.#saveSecret(session, id, SOURCE_PASSWORD, password);
      return rows[0];
    });
  }

  async deleteChat(owner: string, id: string): Promise<boolean> {
    return this.database.transaction(async (session) => {
      const { rowCount } = await session.query('DELETE FROM replichat.chat WHERE id = $2 AND owner = $1', [owner, id]);
      if (!rowCount) return false;
      await session.query('UPDATE replichat.owner SET chat_count = chat_count - 1 WHERE id = $1', [owner]);
      return true;
    });
  }

  async password(owner: string, chatId: string): Promise<string | undefined> {
    const { rows } = await this.database.query(
      `SELECT envelope FROM replichat.secret JOIN replichat.chat ON id = chat_id
       WHERE chat_id = $2 AND owner = $1 AND field = $3`,
      [owner, chatId, SOURCE_PASSWORD],
    );
    return rows[0] && this.keyring.open({ chatId, field: SOURCE_PASSWORD }, rows[0].envelope);
  }

  async addMessages(owner: string, chatId: string, messages: readonly Message[]): Promise<boolean> {
    return this.#addMessages(owner, chatId, messages, null);
  }

  async addMessageOnce(
    owner: string,
    chatId: string,
    clientId: string,
    message: Message,
  ): Promise<Message | undefined> {
    const earlier = () => this.#messageOfClient(owner, chatId, clientId);
    const add = async () => ((await this.#addMessages(owner, chatId, [message], clientId)) ? message : undefined);
    return orEarlier(clientId, earlier, add);
  }

  async #messageOfClient(owner: string, chatId: string, clientId: string): Promise<Message | undefined> {
    const { rows } = await this.database.query<Message & Row>(
      `SELECT ${MESSAGE} FROM replichat.message WHERE chat_id = $2 AND client_id = $3
       AND EXISTS (SELECT FROM replichat.chat WHERE id = $2 AND owner = $1)`,
      [owner, chatId, clientId],
    );
    return rows[0];
  }

  /** The chat's row is locked from the counting to the commit: messages get their positions in the order of commits. */
  async #addMessages(
    owner: string,
    chatId: string,
    messages: readonly Message[],
    clientId: string | null,
  ): Promise<boolean> {
    const { rows } = await this.database.query(
      `WITH chat AS (
         UPDATE replichat.chat SET message_count = message_count + $3 WHERE id = $2 AND owner = $1
         RETURNING message_count
       ), added AS (
         INSERT INTO replichat.message (chat_id, position, id, client_id, role, content, created_at)
         SELECT $2, message_count - $3 + given.number, given.id, $8, given.role, given.content, given.created_at
         FROM chat, unnest($4::text[], $5::text[], $6::json[], $7::timestamptz[])
           WITH ORDINALITY AS given (id, role, content, created_at, number)
       )
       SELECT FROM chat`,
      [
        owner,
        chatId,
        messages.length,
        messages.map(({ id }) => id),
        messages.map(({ role }) => role),
        messages.map(({ content }) => JSON.stringify(content)),
        messages.map(({ createdAt }) => createdAt),
        clientId,
      ],
    );
    return rows.length > 0;
  }

  async messages(owner: string, chatId: string, page: PageRequest): Promise<Page<Message> | undefined> {
    const { rows: chats } = await this.database.query(
      'SELECT message_count FROM replichat.chat WHERE id = $2 AND owner = $1',
      [owner, chatId],
    );
    if (!chats[0]) return undefined;
    const totalCount: number = chats[0].message_count;
    const start = Math.min(page.after ?? 0, totalCount);
    const end = Math.min((page.before ?? MOST) - 1, totalCount);
    const from = page.fromEnd ? Math.max(start, end - page.limit) : start;
    const to = page.fromEnd ? end : Math.min(end, start + page.limit);
    const { rows } = await this.database.query<Positioned<Message> & Row>(
      `SELECT ${MESSAGE}, position FROM replichat.message WHERE chat_id = $1 AND position > $2 AND position <= $3
       ORDER BY position`,
      [chatId, from, to],
    );
    return { items: itemsOf(rows), hasPreviousPage: from > 0, hasNextPage: to < totalCount, totalCount };
  }

  async replica(owner: string, chatId: string): Promise<Replica | undefined> {
    const { rows } = await this.database.query<ReplicaRow>(
      `SELECT ${REPLICA} FROM replichat.replica JOIN replichat.chat ON chat.id = chat_id
       WHERE chat_id = $2 AND owner = $1`,
      [owner, chatId],
    );
    return rows[0] && replicaOf(rows[0]);
  }

  async deleteReplica(owner: string, chatId: string): Promise<boolean> {
    const { rowCount } = await this.database.query(
      `WITH deleted AS (
         DELETE FROM replichat.replica USING replichat.chat
         WHERE chat_id = $2 AND chat.id = $2 AND owner = $1 RETURNING status ->> 'sequence' AS sequence
       ), closed AS (
         DELETE FROM replichat.secret USING deleted WHERE chat_id = $2 AND field = $3
       )
       UPDATE replichat.chat SET last_sequence = sequence::bigint FROM deleted WHERE id = $2`,
      [owner, chatId, REPLICA_ACCESS],
    );
    return rowCount === 1;
  }

  async lastSequence(chatId: string): Promise<number> {
    const { rows } = await this.database.query(
      `SELECT coalesce((status ->> 'sequence')::bigint, last_sequence) AS sequence
       FROM replichat.chat LEFT JOIN replichat.replica ON chat_id = id WHERE id = $1`,
      [chatId],
    );
    return rows[0]?.sequence ?? 0;
  }

  async saveAccess(chatId: string, access: ReplicaAccess): Promise<boolean> {
    return this.#saveSecret(this.database, chatId, REPLICA_ACCESS, JSON.stringify(access));
  }

  async access(chatId: string): Promise<ReplicaAccess | undefined> {
    const { rows } = await this.database.query(
      'SELECT envelope FROM replichat.secret WHERE chat_id = $1 AND field = $2',
      [chatId, REPLICA_ACCESS],
    );
    return rows[0] && JSON.parse(this.keyring.open({ chatId, field: REPLICA_ACCESS }, rows[0].envelope));
  }

  async saveReplica(replica: Replica): Promise<boolean> {
    const { rowCount } = await this.database.query(
      `INSERT INTO replichat.replica
       (chat_id, status, engine, server_version, size_bytes, created_at, last_used_at, expires_at, server_id, instance)
       SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM replichat.chat WHERE id = $1 FOR KEY SHARE
       ON CONFLICT (chat_id) DO UPDATE SET status = excluded.status, engine = excluded.engine,
       server_version = excluded.server_version, size_bytes = excluded.size_bytes, created_at = excluded.created_at,
       last_used_at = excluded.last_used_at, expires_at = excluded.expires_at,
       server_id = excluded.server_id, instance = excluded.instance`,
      valuesOf(replica),
    );
    return rowCount === 1;
  }

  async updateReplica(chatId: string, change: (replica: Replica) => Replica): Promise<Replica | undefined> {
    return this.database.transaction(async (session) => {
      const { rows } = await session.query<ReplicaRow>(
        `SELECT ${REPLICA} FROM replichat.replica WHERE chat_id = $1 FOR UPDATE`,
        [chatId],
      );
      if (!rows[0]) return undefined;
      const changed = change(replicaOf(rows[0]));
      await session.query(
        `UPDATE replichat.replica SET status = $2, engine = $3, server_version = $4, size_bytes = $5, created_at = $6,
         last_used_at = $7, expires_at = $8, server_id = $9, instance = $10 WHERE chat_id = $1`,
        valuesOf(changed),
      );
      return changed;
    });
  }

  async close(): Promise<void> {
    await this.database.close();
  }
}

type Row = Record<string, unknown>;

/** A retry is rare, and told by the unique index of client ids, also when it comes beside the first try. */
async function orEarlier<T>(
  clientId: string | undefined,
  earlier: () => Promise<T | undefined>,
  add: () => Promise<T>,
): Promise<T> {
  try {
    return await add();
  } catch (error) {
    const found = clientId !== undefined && isUniqueViolation(error) ? await earlier() : undefined;
    if (found === undefined) throw error;
    return found;
  }
}

/** Beyond every position. */
const MOST = Number.MAX_SAFE_INTEGER;

function itemsOf<T extends object>(rows: readonly Positioned<T>[]): Page<T>['items'] {
  return rows.map(({ position, ...node }) => ({ position, node: node as unknown as T }));
}

interface ReplicaRow extends Omit<Replica, 'server'>, Row {
  readonly server_id: string | null;
  readonly instance: string;
}

function valuesOf({ chatId, status, engine, server, serverVersion, sizeBytes, ...times }: Replica): unknown[] {
  const { createdAt, lastUsedAt, expiresAt } = times;
  const facts = [JSON.stringify(status, storable), engine, serverVersion, sizeBytes, createdAt, lastUsedAt, expiresAt];
  return [chatId, ...facts, server?.id, server?.instance];
}

/** PostgreSQL's operators refuse a json with what no text can hold: U+0000, and half a character where one was cut. */
const UNSTORABLE = /\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

function storable(_key: string, value: unknown): unknown {
  return typeof value === 'string' ? value.replace(UNSTORABLE, '\ufffd') : value;
}

/** JSON has no dates. */
function replicaOf({ server_id: id, instance, status, ...row }: ReplicaRow): Replica {
  return {
    ...(row as unknown as Omit<Replica, 'server' | 'status'>),
    server: id === null ? null : { id, instance },
    status: { ...status, at: new Date(status.at), acceptedAt: new Date(status.acceptedAt) },
  };
}
