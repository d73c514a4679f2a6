import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { ReplicaServer } from '../ports.js';
import { scramVerifier } from './boot.js';
import { clientConfig } from './connect.js';

/** What the database is called right after the restore, while the chat's own one is written to. */
const PRISTINE = 'replichat_pristine';
/** A copy of it on its way to become the chat's own. */
const RENEWED = 'replichat_renewed';
/** Of 40 (max_connections): room for queries, never for a connection bomb. */
const ROLE_CONNECTIONS = 24;
/** A script that loads tables with their foreign keys and triggers needs it, until `sealTenant`. PostgreSQL 15. */
const SWITCH_TRIGGERS = 'SET ON PARAMETER session_replication_role';
/** What the chat holds locked, the administrator does not wait for. */
const ADMIN_LOCK_MS = 10_000;
/** The longest is the copy of a database. */
const ADMIN_QUERY_MS = 600_000;

/**
 * Extensions that PostgreSQL lets only a superuser create, that do not reach out of the database, and that the
 * administrator therefore creates when a dump begins with them. The trusted ones need nobody's help.
 */
const ADMIN_EXTENSIONS = new Set([
  'bloom',
  'earthdistance',
  'h3',
  'pg_stat_statements',
  'pgrouting',
  'postgis',
  'postgis_raster',
  'postgis_topology',
  'vector',
]);

/** A chat's role and database in a server of its own, with the names that the chat's credentials have. */
export interface Tenant {
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/**
 * Takes a fresh server over for a chat: a role that is no superuser, with a password of its own, and its database.
 * Runs before any statement of the chat's, which is why the administrator may enter the chat's database here. Until
 * `sealTenant`, the role sees the rows that row security would hide from it, as the superuser does whom scripts expect.
 */
export async function createTenant(server: ReplicaServer, names: { user: string; database: string }): Promise<Tenant> {
  const tenant = { ...names, password: randomBytes(24).toString('base64url') };
  const role = quote(tenant.user);
  await asAdmin(server, async (admin) => {
    await admin.query(`CREATE ROLE ${role} ${roleAttributes(tenant)} BYPASSRLS`);
    await admin.query(`CREATE DATABASE ${quote(tenant.database)} OWNER ${role}`);
    if ((await majorOf(admin)) >= 15) await admin.query(`GRANT ${SWITCH_TRIGGERS} TO ${role}`);
  });
  await asAdmin(server, (admin) => ownPublicSchema(admin, role), tenant.database);
  return tenant;
}

/** Since PostgreSQL 15 whoever owns the database owns its schema public; before, the superuser does. */
async function ownPublicSchema(admin: pg.Client, role: string): Promise<void> {
  if ((await majorOf(admin)) < 15) await admin.query(`ALTER SCHEMA public OWNER TO ${role}`);
}

async function majorOf(admin: pg.Client): Promise<number> {
  const { rows } = await admin.query<{ major: number }>(
    `SELECT current_setting('server_version_num')::int / 10000 AS major`,
  );
  return rows[0]?.major ?? 0;
}

function roleAttributes({ password }: Tenant): string {
  return (
    `LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION INHERIT ` +
    `CONNECTION LIMIT ${ROLE_CONNECTIONS} VALID UNTIL 'infinity' PASSWORD '${scramVerifier(password)}'`
  );
}

/** A role that a dump names and the server lacks: may own and do nothing by itself, the chat's role is a member. */
export async function createMissingRole(server: ReplicaServer, tenant: Tenant, name: string): Promise<void> {
  await asAdmin(server, async (admin) => {
    await admin.query(`CREATE ROLE ${quote(name)} NOLOGIN`);
    await admin.query(`GRANT ${quote(name)} TO ${quote(tenant.user)}`);
  });
}

/** Only before the first statement that could define something for the administrator to trip over. */
export async function createAllowedExtension(
  server: ReplicaServer,
  tenant: Tenant,
  name: string,
  schema: string | undefined,
): Promise<boolean> {
  if (!ADMIN_EXTENSIONS.has(name)) return false;
  const where = schema === undefined ? '' : ` SCHEMA ${quote(schema)}`;
  await asAdmin(
    server,
    (admin) => admin.query(`CREATE EXTENSION IF NOT EXISTS ${quote(name)}${where} CASCADE`),
    tenant.database,
  );
  return true;
}

/** Undoes what a dump may have done to lock its own role out, and keeps the state of now for `resetTenant`. */
export async function sealTenant(server: ReplicaServer, tenant: Tenant): Promise<void> {
  await asAdmin(server, async (admin) => {
    await repair(admin, tenant);
    if ((await majorOf(admin)) >= 15) await admin.query(`REVOKE ${SWITCH_TRIGGERS} FROM ${quote(tenant.user)}`);
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [tenant.database]);
    await admin.query(`CREATE DATABASE ${PRISTINE} TEMPLATE ${quote(tenant.database)} IS_TEMPLATE true`);
    await admin.query(`ALTER DATABASE ${PRISTINE} ALLOW_CONNECTIONS false`);
  });
}

/** Back to the state of `sealTenant`. Ends every session in the chat's database. Fails with nothing lost. */
export async function resetTenant(server: ReplicaServer, tenant: Tenant): Promise<void> {
  const database = quote(tenant.database);
  await asAdmin(server, async (admin) => {
    await admin.query(`DROP DATABASE IF EXISTS ${RENEWED}`);
    await admin.query(`CREATE DATABASE ${RENEWED} TEMPLATE ${PRISTINE} OWNER ${quote(tenant.user)} IS_TEMPLATE false`);
    await admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
    await admin.query(`ALTER DATABASE ${RENEWED} RENAME TO ${database}`);
    await repair(admin, tenant);
  });
}

/** The role and its database let the chat in again, whatever it has done to them. */
async function repair(admin: pg.Client, tenant: Tenant): Promise<void> {
  const [role, database] = [quote(tenant.user), quote(tenant.database)];
  await admin.query(`ALTER ROLE ${role} ${roleAttributes(tenant)} NOBYPASSRLS`);
  await admin.query(`ALTER ROLE ${role} RESET ALL`);
  await admin.query(`ALTER ROLE ${role} IN DATABASE ${database} RESET ALL`);
  await admin.query(`ALTER DATABASE ${database} ALLOW_CONNECTIONS true CONNECTION LIMIT -1 IS_TEMPLATE false`);
  await admin.query(`GRANT CONNECT, TEMPORARY ON DATABASE ${database} TO ${role}`);
}

/** What the server says of itself and of how much room the chat's database takes. */
export async function describeTenant(
  server: ReplicaServer,
  tenant: Tenant,
): Promise<{ serverVersion: string; sizeBytes: number }> {
  return asAdmin(server, async (admin) => {
    const { rows } = await admin.query<{ version: string; size: string }>(
      `SELECT current_setting('server_version') AS version, pg_database_size($1)::text AS size`,
      [tenant.database],
    );
    return { serverVersion: rows[0]?.version ?? '', sizeBytes: Number(rows[0]?.size) };
  });
}

/** Bytes of all databases, temporary files and the write-ahead log. */
export async function usedBytes(server: ReplicaServer): Promise<number> {
  return asAdmin(server, async (admin) => {
    const { rows } = await admin.query<{ bytes: string }>(
      `SELECT ((SELECT sum(pg_database_size(oid)) FROM pg_database) +
               coalesce((SELECT sum(size) FROM pg_ls_tmpdir()), 0) +
               (SELECT sum(size) FROM pg_ls_waldir()))::text AS bytes`,
    );
    return Number(rows[0]?.bytes);
  });
}

/** Ends one backend of the chat's: the last resort when a query resists being cancelled. */
export async function terminateBackend(server: ReplicaServer, processId: number): Promise<void> {
  await asAdmin(server, (admin) => admin.query('SELECT pg_terminate_backend($1)', [processId]));
}

/** From the maintenance database, where no chat's object can be lying in wait on the search path. */
async function asAdmin<T>(
  server: ReplicaServer,
  work: (admin: pg.Client) => Promise<T>,
  database = server.admin.database,
): Promise<T> {
  const admin = new pg.Client({
    ...clientConfig(server, { ...server.admin, database }),
    lock_timeout: ADMIN_LOCK_MS,
    query_timeout: ADMIN_QUERY_MS,
  });
  admin.on('error', () => {});
  try {
    await admin.connect();
    return await work(admin);
  } finally {
    await admin.end().catch(() => {});
  }
}

function quote(identifier: string): string {
  return pg.escapeIdentifier(identifier);
}
