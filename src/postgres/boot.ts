import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { ReplicaServer } from '../ports.js';
import { clientConfig } from './connect.js';

/** The bootstrap superuser. */
const ADMIN = 'replichat_admin';
/** The empty database that initdb makes, until it is a chat's: making another takes longer than a small restore. */
export const FRESH = 'replichat_fresh';

const MiB = 1024 * 1024;
const SCRAM_ITERATIONS = 4096;

/** Known to this process only: what leaves it is its SCRAM verifier. */
export function newAdmin(): ReplicaServer['admin'] {
  return { user: ADMIN, password: randomBytes(32).toString('base64url'), database: 'template1' };
}

/**
 * What PostgreSQL keeps in pg_authid for an ASCII password (RFC 5803): it proves who knows the password and does not
 * let its reader log in. CREATE ROLE, ALTER ROLE and initdb --pwfile store it as it is.
 */
export function scramVerifier(password: string, salt: Buffer = randomBytes(16)): string {
  const salted = pbkdf2Sync(password, salt, SCRAM_ITERATIONS, 32, 'sha256');
  const hmac = (text: string) => createHmac('sha256', salted).update(text).digest();
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64');
  const serverKey = hmac('Server Key').toString('base64');
  return `SCRAM-SHA-256$${SCRAM_ITERATIONS}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}

/** For initdb, beside -D and --pwfile. The locale is the same everywhere, whatever the machine's is. */
export const INITDB_ARGUMENTS: readonly string[] = [
  `--username=${ADMIN}`,
  '--encoding=UTF8',
  '--auth=scram-sha-256',
  '--no-sync',
  '--no-instructions',
];

/** Lines for postgresql.conf: a server that is thrown away, holds untrusted SQL, and logs nothing of it. */
export function serverSettings(options: {
  memoryBytes: number;
  listenAddresses: string;
  unixSocketDirectories: string;
}): string[] {
  const memory = options.memoryBytes / MiB;
  const settings: Record<string, string | number> = {
    listen_addresses: options.listenAddresses,
    unix_socket_directories: options.unixSocketDirectories,
    unix_socket_permissions: '0700',
    port: 5432,
    max_connections: 40,
    superuser_reserved_connections: 5,
    password_encryption: 'scram-sha-256',
    // A relay or a server that is gone must not leave its query running.
    client_connection_check_interval: '2s',

    shared_buffers: `${Math.max(16, Math.floor(memory / 4))}MB`,
    maintenance_work_mem: `${Math.max(16, Math.min(64, Math.floor(memory / 8)))}MB`,
    temp_file_limit: '5GB',
    max_locks_per_transaction: 256,
    jit: 'off',

    fsync: 'off',
    full_page_writes: 'off',
    wal_level: 'minimal',
    max_wal_senders: 0,
    max_wal_size: '512MB',
    // Until sealTenant.
    synchronous_commit: 'off',
    autovacuum: 'off',

    timezone: 'UTC',
    log_timezone: 'UTC',
    logging_collector: 'off',
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    log_statement: 'none',
    log_checkpoints: 'off',
    log_autovacuum_min_duration: -1,
  };
  return Object.entries(settings).map(([name, value]) => `${name}='${String(value).replaceAll("'", "''")}'`);
}

/**
 * Waits until a fresh server answers, and makes it ours: nobody but the admin has business in what is no chat's database.
 */
export async function takeOver(server: Pick<ReplicaServer, 'open' | 'admin'>, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await prepare(server);
    } catch (error) {
      if (!isStartingUp(error)) throw error;
    }
    await sleep(50, undefined, { signal });
  }
}

async function prepare(server: Pick<ReplicaServer, 'open' | 'admin'>): Promise<void> {
  const client = new pg.Client(clientConfig(server, server.admin));
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query(`ALTER DATABASE postgres RENAME TO ${FRESH}`);
    await client.query(`COMMENT ON DATABASE ${FRESH} IS NULL`);
    await client.query('REVOKE CONNECT ON DATABASE template1 FROM PUBLIC');
    // It has started, and said so; from here on RAISE LOG would write what a dump holds into its log.
    await client.query("ALTER SYSTEM SET log_min_messages = 'fatal'");
    await client.query('SELECT pg_reload_conf()');
  } finally {
    await client.end();
  }
}

const STARTING_UP = new Set(['57P03', 'ECONNREFUSED', 'ENOENT']);

function isStartingUp(error: unknown): boolean {
  return STARTING_UP.has(String((error as { code?: unknown } | undefined)?.code));
}
