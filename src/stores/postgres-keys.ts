import type { Database, Session } from '../database/database.js';
import { type Keyring, KeyringError } from './keyring.js';

const BATCH = 500;

/**
 * Makes sure that the keyring opens every secret, and seals those anew that another key than its first one holds.
 * Throws KeyringError that says which key is missing or wrong.
 */
export async function takeKeyring(database: Database, keyring: Keyring): Promise<void> {
  await database.transaction(async (session) => {
    // One server after the other.
    await session.query('LOCK TABLE replichat.key IN EXCLUSIVE MODE');
    await verify(session, keyring);
    for (const { id, envelope } of keyring.checks()) {
      await session.query('INSERT INTO replichat.key VALUES ($1, $2) ON CONFLICT DO NOTHING', [id, envelope]);
    }
  });
  while (await database.transaction((session) => sealAnew(session, keyring)));
}

async function verify(session: Session, keyring: Keyring): Promise<void> {
  const { rows: checks } = await session.query('SELECT envelope FROM replichat.key WHERE id = ANY ($1)', [keyring.ids]);
  for (const { envelope } of checks) keyring.verify(envelope);
  const { rows: missing } = await session.query(
    `SELECT split_part(envelope, '.', 1) AS id, count(*) FROM replichat.secret
     WHERE split_part(envelope, '.', 1) <> ALL ($1) GROUP BY 1`,
    [keyring.ids],
  );
  for (const { id, count } of missing) {
    throw new KeyringError(`the key ${id} is missing, with which ${count} passwords are encrypted`);
  }
}

/** Whether there may be more. */
async function sealAnew(session: Session, keyring: Keyring): Promise<boolean> {
  const { rows } = await session.query<{ chatId: string; field: string; envelope: string }>(
    `SELECT chat_id AS "chatId", field, envelope FROM replichat.secret WHERE split_part(envelope, '.', 1) <> $1
     LIMIT $2 FOR UPDATE`,
    [keyring.currentId, BATCH],
  );
  for (const { envelope, ...place } of rows) {
    const sealed = keyring.seal(place, keyring.open(place, envelope));
    await session.query('UPDATE replichat.secret SET envelope = $3 WHERE chat_id = $1 AND field = $2', [
      place.chatId,
      place.field,
      sealed,
    ]);
  }
  return rows.length === BATCH;
}
