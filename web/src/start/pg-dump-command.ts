import type { Connection } from './connection-uri.js';

/** For a shell. pg_dump asks for the password, so that none stands in its history. */
export function pgDumpCommand({ host, port, user, database }: Omit<Connection, 'password'>): string {
  const name = database.replace(/[^\w.-]+/g, '-').replace(/^-+/, '') || 'database';
  const options = { host: host || 'HOST', port: String(port), username: user || 'USER', file: `${name}.sql` };
  const words = Object.entries(options).map(([option, value]) => `--${option}=${quoted(value)}`);
  return ['pg_dump', ...words, quoted(database || 'DATABASE')].join(' ');
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) && !word.startsWith('-') ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
