import type { Database } from '../database/database.js';
import type { Inheritance, Living, Registry } from '../ports.js';

/** Without a word for so long, a server is gone. */
const LEASE = "interval '6 s'";

/** A Registry in the schema `replichat` of the PostgreSQL that the servers share. Time is by its clock. */
export class PostgresRegistry implements Registry {
  #isKnown = false;

  constructor(
    private readonly database: Database,
    private readonly instance: string,
  ) {}

  /** Names the database to the Docker Engine. */
  async storeId(): Promise<string> {
    const { rows } = await this.database.query('SELECT id FROM replichat.store');
    return rows[0]?.id;
  }

  async renew(held: readonly string[]): Promise<boolean> {
    return this.database.transaction(async (session) => {
      const { rowCount } = await session.query('UPDATE replichat.instance SET seen_at = now() WHERE id = $1', [
        this.instance,
      ]);
      const wasGiven = rowCount === 0 && this.#isKnown;
      if (rowCount === 0) await session.query('INSERT INTO replichat.instance VALUES ($1, now())', [this.instance]);
      await session.query('DELETE FROM replichat.claim WHERE instance = $1 AND chat_id <> ALL ($2)', [
        this.instance,
        wasGiven ? [] : held,
      ]);
      this.#isKnown = true;
      return !wasGiven;
    });
  }

  async claim(chatId: string): Promise<boolean> {
    const { rowCount } = await this.database.query(
      `INSERT INTO replichat.claim AS claim SELECT id, $2 FROM replichat.chat WHERE id = $1 FOR KEY SHARE
       ON CONFLICT (chat_id) DO UPDATE SET instance = excluded.instance WHERE claim.instance = excluded.instance`,
      [chatId, this.instance],
    );
    return rowCount === 1;
  }

  async release(chatId: string): Promise<void> {
    await this.database.query('DELETE FROM replichat.claim WHERE chat_id = $1 AND instance = $2', [
      chatId,
      this.instance,
    ]);
  }

  /** Deleting a server comes first: it waits for one that is just about to say that it lives, and then lets it. */
  async takeOver(): Promise<Inheritance[]> {
    return this.database.transaction(async (session) => {
      await session.query(`DELETE FROM replichat.instance WHERE seen_at < now() - ${LEASE}`);
      const { rows } = await session.query(
        `INSERT INTO replichat.claim AS claim
         SELECT chat_id, $1 FROM replichat.replica
         WHERE (server_id IS NOT NULL OR status ->> 'state' IN ('QUEUED', 'STARTING', 'RESTORING'))
           AND (status ->> 'state' IN ('QUEUED', 'STARTING', 'RESTORING')
                OR NOT EXISTS (SELECT FROM replichat.instance WHERE id = replica.instance))
         ON CONFLICT (chat_id) DO UPDATE SET instance = excluded.instance
           WHERE NOT EXISTS (SELECT FROM replichat.instance WHERE id = claim.instance)
         RETURNING chat_id`,
        [this.instance],
      );
      await session.query(
        'DELETE FROM replichat.claim WHERE NOT EXISTS (SELECT FROM replichat.instance WHERE id = claim.instance)',
      );
      const left = await session.query<Inheritance & Record<string, unknown>>(
        `SELECT chat_id AS "chatId", NOT EXISTS (SELECT FROM replichat.instance WHERE id = replica.instance) AS "isServerLeft"
         FROM replichat.replica WHERE chat_id = ANY ($1)`,
        [rows.map(({ chat_id: chatId }) => chatId)],
      );
      return left.rows;
    });
  }

  async living(): Promise<Living> {
    const { rows } = await this.database.query(
      `SELECT array(SELECT id FROM replichat.instance) AS instances,
              array(SELECT server_id FROM replichat.replica WHERE server_id IS NOT NULL) AS servers`,
    );
    return { instances: new Set(rows[0]?.instances), servers: new Set(rows[0]?.servers) };
  }

  async close(): Promise<void> {
    await this.database.query('DELETE FROM replichat.instance WHERE id = $1', [this.instance]);
  }
}
