import { badInput, ReplichatError } from './errors.js';
import { requireStorable } from './text.js';

export type Dbms = 'POSTGRESQL';
export type Environment = 'LOCAL' | 'CLOUD';

/** Who owns every chat of a server that knows its users not apart. */
export const SOLE_OWNER = '';

/** A chat and the database that it is about. Carries no password: that one is kept and read apart (ChatStore.password). */
export interface Chat {
  readonly id: string;
  /** Whose it is. To everybody else there is no such chat. */
  readonly owner: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly dbms: Dbms;
  readonly environment: Environment;
  readonly createdAt: Date;
}

/** What a change may touch; what is absent stays as it is. */
export interface ChatChanges {
  name?: string;
  host?: string;
  port?: number;
  user?: string;
  database?: string;
  environment?: Environment;
  password?: string;
}

/** How to reach a database. The one object that holds a password: never logged, never stored with the chat. */
export interface Credentials {
  readonly chatId: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly dbms: Dbms;
  readonly environment: Environment;
}

/** `postgres://user:password@host:port/database` (PostgreSQL manual, 34.1.1.2), every part percent-encoded, IPv6 in brackets. */
export function connectionUri(credentials: Credentials): string {
  const { user, password, host, port, database } = credentials;
  const address = host.includes(':') ? `[${host.replace(/[[\]]/g, '').replace('%', '%25')}]` : encodeURIComponent(host);
  return `postgres://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${address}:${port}/${encodeURIComponent(database)}`;
}

/** NAMEDATALEN - 1: PostgreSQL would cut a longer name off silently. */
const NAME_BYTES = 63;
const LONGEST_LABEL = 200;
const LONGEST_CLIENT_ID = 100;
const LONGEST_PASSWORD = 1024;

/** With at least two colons, so that an IPv4 address with a port is none. */
const IPV6 = '(?=[^:]*:[^:]*:)[0-9a-fA-F:.]+(?:%[\\w.-]+)?';
const HOST = new RegExp(`^(?:[\\p{L}\\p{N}_.-]+|${IPV6}|\\[${IPV6}\\])$`, 'u');

const RESERVED_DATABASE = /^(template[01]|replichat_(fresh|pristine|growing|used))$/;
/** CREATE ROLE refuses these, quoted or not. */
const RESERVED_ROLE = /^(pg_.*|public|none|replichat_admin)$/s;

/** Throws BAD_USER_INPUT that names the first field with a value that no database could have. */
export function validateChat(changes: ChatChanges): void {
  if (changes.name !== undefined) requireText('name', changes.name, 'the name of the chat', LONGEST_LABEL);
  if (changes.host !== undefined) requireHost(changes.host);
  if (changes.port !== undefined && !(Number.isInteger(changes.port) && changes.port >= 1 && changes.port <= 65535)) {
    throw badInput('port', `${changes.port} is no TCP port; give one from 1 to 65535 (PostgreSQL's default is 5432)`);
  }
  if (changes.user !== undefined) requireName('user', changes.user, 'the PostgreSQL role to log in with');
  if (changes.database !== undefined) requireName('database', changes.database, 'the name of the PostgreSQL database');
  if (changes.database !== undefined && RESERVED_DATABASE.test(changes.database)) {
    throw badInput(
      'database',
      `${changes.database} is a name that every replica needs for itself; give the database to chat with`,
    );
  }
  if (changes.user !== undefined && RESERVED_ROLE.test(changes.user)) {
    throw badInput(
      'user',
      `the role name ${changes.user} is reserved; give the role that the application logs in with`,
    );
  }
  if (changes.password !== undefined) requirePassword(changes.password);
}

/** What a client calls a chat or message of its own, so that a retry is known for one. */
export function validateClientId(clientId: string | null | undefined): void {
  if (clientId != null) requireText('clientId', clientId, 'an id of your own, or none', LONGEST_CLIENT_ID);
}

function requireText(field: string, value: string, what: string, longest: number): void {
  if (value.trim() === '') throw badInput(field, `is empty; give ${what}`);
  if (value.length > longest) throw badInput(field, `has ${value.length} characters; at most ${longest} are allowed`);
  requireStorable(field, value);
}

/** May be empty: not every server asks for one. */
function requirePassword(password: string): void {
  const { length } = password;
  if (length > LONGEST_PASSWORD) {
    throw badInput('password', `has ${length} characters; at most ${LONGEST_PASSWORD} are allowed`);
  }
  requireStorable('password', password);
}

function requireHost(host: string): void {
  requireText('host', host, 'a host name or an IP address', 253);
  if (!HOST.test(host)) {
    throw badInput('host', 'is no host name or IP address; give it alone, without protocol, port or path');
  }
}

function requireName(field: string, value: string, what: string): void {
  requireText(field, value, what, NAME_BYTES);
  const bytes = Buffer.byteLength(value);
  if (bytes > NAME_BYTES) throw badInput(field, `has ${bytes} bytes; names in PostgreSQL have at most ${NAME_BYTES}`);
}

export function chatNotFound(chatId: string): ReplichatError {
  return new ReplichatError('NOT_FOUND', `there is no chat ${chatId}; list those there are with the query chats`);
}
