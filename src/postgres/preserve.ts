import type { ReplicaServer } from '../ports.js';
import {
  type Admin,
  asAdmin,
  describeTenant,
  endSessions,
  quote,
  repair,
  type Tenant,
  type TenantFacts,
} from './tenant.js';

/** The copy of the chat's database as it was right after the restore. */
const PRISTINE = 'replichat_pristine';
/** The copy, while it is being made. */
const GROWING = 'replichat_growing';
/** What was the chat's database before a reset, until it is dropped. */
const USED = 'replichat_used';

/** From so many bytes on, copying files (and a checkpoint) is faster than logging every page. */
const COPY_FILES_BYTES = 64 * 1024 * 1024;

/**
 * Keeps the state of now for `resetTenant`, unless one is kept already. Ends every session in the chat's database. Fails
 * with nothing lost, and while there are leftovers.
 */
export async function preserveTenant(server: ReplicaServer, tenant: Tenant): Promise<void> {
  await asAdmin(server, async (admin) => {
    const { client } = admin;
    if (await isPreserved(admin)) return;
    await endSessions(admin, tenant);
    const options = `ALLOW_CONNECTIONS false ${await copying(admin, tenant.database)}`;
    await client.query(`CREATE DATABASE ${GROWING} TEMPLATE ${quote(tenant.database)} ${options}`);
    await copyProperties(admin, tenant.database, GROWING);
    await client.query(`ALTER DATABASE ${GROWING} RENAME TO ${PRISTINE}`);
  });
}

/**
 * Back to the state of `preserveTenant`, by putting what it has kept into the database's place: nothing is kept from
 * then on. Where nothing was, nothing has been written. Ends every session in the chat's database. Fails with nothing
 * lost. What was in the place is left to `dropLeftovers`.
 */
export async function resetTenant(server: ReplicaServer, tenant: Tenant): Promise<TenantFacts> {
  return asAdmin(server, async (admin) => {
    const { client } = admin;
    await endSessions(admin, tenant);
    await client.query('BEGIN');
    if (await exists(admin, PRISTINE)) await replace(admin, tenant);
    await repair(client, tenant);
    await client.query('COMMIT');
    return describeTenant(admin, tenant);
  });
}

async function replace({ client }: Admin, tenant: Tenant): Promise<void> {
  const database = quote(tenant.database);
  // What its owner has made a template could not be dropped.
  await client.query(`ALTER DATABASE ${database} IS_TEMPLATE false`);
  await client.query(`ALTER DATABASE ${database} RENAME TO ${USED}`);
  await client.query(`ALTER DATABASE ${PRISTINE} RENAME TO ${database}`);
  await client.query(`ALTER DATABASE ${database} OWNER TO ${quote(tenant.user)}`);
}

/** Whether the state of a restore is kept for `resetTenant`. */
export function isPreserved(admin: Admin): Promise<boolean> {
  return exists(admin, PRISTINE);
}

async function exists({ client }: Admin, database: string): Promise<boolean> {
  const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [database]);
  return rowCount === 1;
}

/** What a reset has left, and what an attempt that broke off has. It takes longer than the reset. */
export async function dropLeftovers(server: ReplicaServer): Promise<void> {
  await asAdmin(server, async ({ client }) => {
    for (const name of [GROWING, USED]) {
      await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    }
  });
}

async function copying({ client, major }: Admin, database: string): Promise<string> {
  if (major < 15) return '';
  const { rows } = await client.query<{ large: boolean }>('SELECT pg_database_size($1) > $2 AS large', [
    database,
    COPY_FILES_BYTES,
  ]);
  return rows[0]?.large ? 'STRATEGY file_copy' : 'STRATEGY wal_log';
}

/** What CREATE DATABASE leaves out of a copy: who may do what with the database, and its comment. */
async function copyProperties({ client }: Admin, from: string, to: string): Promise<void> {
  const { rows } = await client.query<{ command: string }>(PROPERTIES, [from, to]);
  for (const { command } of rows) await client.query(command);
}

/** REVOKE comes before GRANT. Settings are no part of it: `sealTenant` has taken them back. */
const PROPERTIES = `
  SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC, CURRENT_USER', $2::text) AS command
  FROM pg_database WHERE datname = $1 AND datacl IS NOT NULL
  UNION ALL
  SELECT format('GRANT %s ON DATABASE %I TO %s%s', privilege_type, $2::text,
                CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
                CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM pg_database, aclexplode(datacl) WHERE datname = $1
  UNION ALL
  SELECT format('COMMENT ON DATABASE %I IS %L', $2::text, description)
  FROM pg_database JOIN pg_shdescription ON objoid = oid AND classoid = 'pg_database'::regclass WHERE datname = $1
  ORDER BY command DESC`;
