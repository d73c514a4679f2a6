import { FRESH } from '../../src/postgres/boot.js';
import type { Admin } from '../../src/postgres/tenant.js';

/** A server comes with an empty database for one chat; now it has one for the next. */
export async function renewFresh({ client }: Admin): Promise<void> {
  await client.query(`DROP DATABASE IF EXISTS ${FRESH}`);
  await client.query(`CREATE DATABASE ${FRESH} TEMPLATE template0`);
}
