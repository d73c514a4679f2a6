import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { ReplicaServer } from '../ports.js';
import { FRESH, scramVerifier } from './boot.js';
import { clientConfig } from './connect.js';

/** Of 40 (max_connections): room for queries and clients, never for a connection bomb. */
export const ROLE_CONNECTIONS = 32;
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
export async function createTenant(
  admin: Admin,
  server: ReplicaServer,
  names: { user: string; database: string },
): Promise<Tenant> {
  const tenant = { ...names, password: randomBytes(24).toString('base64url') };
  const [role, database] = [quote(tenant.user), quote(tenant.database)];
  await admin.client.query(
    `CREATE ROLE ${role} ${roleAttributes(tenant)} BYPASSRLS;
     ALTER DATABASE ${FRESH} RENAME TO ${database};
     ALTER DATABASE ${database} OWNER TO ${role}`,
  );
  if (admin.major >= 15) {
    await admin.client.query(`GRANT ${SWITCH_TRIGGERS} TO ${role}`);
  } else {
    // From 15 on, whoever owns the database owns its schema public.
    await asAdmin(server, ({ client }) => client.query(`ALTER SCHEMA public OWNER TO ${role}`), tenant.database);
  }
  return tenant;
}

function roleAttributes({ password }: Tenant): string {
  return (
    `LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION INHERIT ` +
    `CONNECTION LIMIT ${ROLE_CONNECTIONS} VALID UNTIL 'infinity' PASSWORD '${scramVerifier(password)}'`
  );
}

/** A role that a dump names and the server lacks: may own and do nothing by itself, the chat's role is a member. */
export async function createMissingRole({ client }: Admin, tenant: Tenant, name: string): Promise<void> {
  await client.query(`CREATE ROLE ${quote(name)} NOLOGIN`);
  await client.query(`GRANT ${quote(name)} TO ${quote(tenant.user)}`);
}

export function isAllowedExtension(name: string): boolean {
  return ADMIN_EXTENSIONS.has(name);
}

/** Only before the first statement that could define something for the administrator to trip over. */
export async function createAllowedExtension(
  server: ReplicaServer,
  tenant: Tenant,
  name: string,
  schema: string | undefined,
): Promise<void> {
  const where = schema === undefined ? '' : ` SCHEMA ${quote(schema)}`;
  const create = async ({ client }: Admin) => {
    await client.query(`CREATE EXTENSION IF NOT EXISTS ${quote(name)}${where} CASCADE`);
    const { rows } = await client.query<{ relation: string }>(CONFIGURATION);
    for (const { relation } of rows) await client.query(`GRANT ALL ON ${relation} TO ${quote(tenant.user)}`);
  };
  await asAdmin(server, create, tenant.database);
}

/** Tables and sequences of extensions whose rows come with the dump: PostGIS has its `spatial_ref_sys` so. */
const CONFIGURATION = `
  SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || pg_class.oid::regclass AS relation
  FROM pg_class JOIN pg_extension ON pg_class.oid = ANY (extconfig)`;

/** Undoes what a dump may have done to lock its own role out, and takes back what only a restore may. */
export async function sealTenant(admin: Admin, tenant: Tenant): Promise<TenantFacts> {
  const { client, major } = admin;
  // What has been committed, by now and from now on, outlives a backend that is killed and the restart that follows.
  await client.query('SET synchronous_commit = on');
  await repair(client, tenant);
  if (major >= 15) await client.query(`REVOKE ${SWITCH_TRIGGERS} FROM ${quote(tenant.user)}`);
  // Switched off at boot, so as not to take the restore's place and time.
  await client.query('ALTER SYSTEM SET autovacuum = on');
  await client.query('ALTER SYSTEM SET synchronous_commit = on');
  await client.query('SELECT pg_reload_conf()');
  return describeTenant(admin, tenant);
}

/** The role and its database let the chat in again, whatever it has done to them. */
export async function repair(client: pg.Client, tenant: Tenant): Promise<void> {
  const [role, database] = [quote(tenant.user), quote(tenant.database)];
  await client.query(
    `ALTER ROLE ${role} ${roleAttributes(tenant)} NOBYPASSRLS;
     ALTER ROLE ${role} RESET ALL;
     ALTER ROLE ${role} IN DATABASE ${database} RESET ALL;
     ALTER DATABASE ${database} RESET ALL;
     ALTER DATABASE ${database} ALLOW_CONNECTIONS true CONNECTION LIMIT -1 IS_TEMPLATE false;
     GRANT CONNECT, TEMPORARY ON DATABASE ${database} TO ${role}`,
  );
}

export interface TenantFacts {
  readonly serverVersion: string;
  readonly sizeBytes: number;
}

/** What the server says of itself and of how much room the chat's database takes. */
export async function describeTenant({ client }: Admin, tenant: Tenant): Promise<TenantFacts> {
  const { rows } = await client.query<{ version: string; size: string }>(
    `SELECT current_setting('server_version') AS version, pg_database_size($1)::text AS size`,
    [tenant.database],
  );
  return { serverVersion: rows[0]?.version ?? '', sizeBytes: Number(rows[0]?.size) };
}

/** Bytes of all databases, temporary files and the write-ahead log. */
export async function usedBytes(server: ReplicaServer): Promise<number> {
  return asAdmin(server, async ({ client }) => {
    const { rows } = await client.query<{ bytes: string }>(
      `SELECT ((SELECT sum(pg_database_size(oid)) FROM pg_database) +
               coalesce((SELECT sum(size) FROM pg_ls_tmpdir()), 0) +
               (SELECT sum(size) FROM pg_ls_waldir()))::text AS bytes`,
    );
    return Number(rows[0]?.bytes);
  });
}

/** Ends one backend of the chat's: the last resort when a query resists being cancelled. */
export async function terminateBackend(server: ReplicaServer, processId: number): Promise<void> {
  await asAdmin(server, ({ client }) => client.query('SELECT pg_terminate_backend($1)', [processId]));
}

/** Whoever's they are. */
export async function endSessions({ client }: Admin, tenant: Tenant): Promise<void> {
  await client.query('SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1', [
    tenant.database,
  ]);
}

/** A session of the administrator's, in the maintenance database, where no chat's object lies in wait on the search path. */
export class Admin {
  private constructor(
    readonly client: pg.Client,
    /** Of PostgreSQL: 17. */
    readonly major: number,
  ) {}

  static async connect(server: ReplicaServer, database = server.admin.database): Promise<Admin> {
    const client = new pg.Client({
      ...clientConfig(server, { ...server.admin, database }),
      lock_timeout: ADMIN_LOCK_MS,
      query_timeout: ADMIN_QUERY_MS,
    });
    client.on('error', () => {});
    try {
      await client.connect();
      const { rows } = await client.query<{ major: number }>(
        `SELECT current_setting('server_version_num')::int / 10000 AS major`,
      );
      return new Admin(client, rows[0]?.major ?? 0);
    } catch (error) {
      client.connection.stream.destroy();
      throw error;
    }
  }

  async end(): Promise<void> {
    await this.client.end().catch(() => {});
  }
}

export async function asAdmin<T>(
  server: ReplicaServer,
  work: (admin: Admin) => Promise<T>,
  database = server.admin.database,
): Promise<T> {
  const admin = await Admin.connect(server, database);
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}

export function quote(identifier: string): string {
  return pg.escapeIdentifier(identifier);
}
