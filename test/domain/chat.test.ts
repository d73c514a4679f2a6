import { describe, expect, test } from '@jest/globals';
import { type ChatChanges, type Credentials, connectionUri, validateChat } from '../../src/domain/chat.js';
import { ReplichatError } from '../../src/domain/errors.js';

const CREDENTIALS: Credentials = {
  chatId: 'c1',
  host: 'localhost',
  port: 5432,
  user: 'app',
  password: 'secret',
  database: 'shop',
  dbms: 'POSTGRESQL',
  environment: 'LOCAL',
};

describe('connectionUri', () => {
  test.each<[string, Partial<Credentials>, string]>([
    ['as it is where nothing needs encoding', {}, 'postgres://app:secret@localhost:5432/shop'],
    [
      '@ : / ? # in a password',
      { password: 'p@s:s/w?r#d' },
      'postgres://app:p%40s%3As%2Fw%3Fr%23d@localhost:5432/shop',
    ],
    ['% and spaces in a password', { password: '100% me' }, 'postgres://app:100%25%20me@localhost:5432/shop'],
    ['an empty password', { password: '' }, 'postgres://app:@localhost:5432/shop'],
    ['letters beyond ASCII', { user: 'zoë', password: '🔑' }, 'postgres://zo%C3%AB:%F0%9F%94%91@localhost:5432/shop'],
    ['a user with a domain', { user: 'app@corp' }, 'postgres://app%40corp:secret@localhost:5432/shop'],
    ['/ and ? in a database', { database: 'a/b?c' }, 'postgres://app:secret@localhost:5432/a%2Fb%3Fc'],
    ['an IPv4 address', { host: '10.0.0.1', port: 6543 }, 'postgres://app:secret@10.0.0.1:6543/shop'],
    ['an IPv6 address', { host: '2001:db8::1' }, 'postgres://app:secret@[2001:db8::1]:5432/shop'],
    ['an IPv6 address in brackets', { host: '[::1]' }, 'postgres://app:secret@[::1]:5432/shop'],
    ['an IPv6 zone', { host: 'fe80::1%eth0' }, 'postgres://app:secret@[fe80::1%25eth0]:5432/shop'],
    ['an international host name', { host: 'müller.example' }, 'postgres://app:secret@m%C3%BCller.example:5432/shop'],
  ])('writes %s', (_what, part, uri) => {
    expect(connectionUri({ ...CREDENTIALS, ...part })).toBe(uri);
  });

  test('gives every part back to whoever parses it', () => {
    const awkward = { user: 'a:b@c/d', password: '%40:@/?#[]&= "\'\\', database: 'x y/z?u#v' };
    const uri = new URL(connectionUri({ ...CREDENTIALS, ...awkward }));
    expect({
      user: decodeURIComponent(uri.username),
      password: decodeURIComponent(uri.password),
      database: decodeURIComponent(uri.pathname.slice(1)),
    }).toEqual(awkward);
    expect(uri.host).toBe('localhost:5432');
    expect(uri.search + uri.hash).toBe('');
  });
});

describe('validateChat', () => {
  test.each<[string, ChatChanges]>([
    ['nothing', {}],
    ['a whole chat', { name: 'Shop', host: 'db', port: 5432, user: 'app', database: 'shop', environment: 'CLOUD' }],
    ['the first port', { port: 1 }],
    ['the last port', { port: 65_535 }],
    ['a name of 200 characters', { name: 'n'.repeat(200) }],
    ['a role of 63 bytes', { user: 'u'.repeat(63) }],
    ['a database of 63 bytes in 21 characters', { database: '漢'.repeat(21) }],
    ['an empty password', { password: '' }],
    ['characters beyond 16 bits', { name: '😀', user: '😀', password: '😀' }],
    ['a password of 1024 characters', { password: 'p'.repeat(1024) }],
    ['awkward but possible names', { user: 'a "b" c', database: "it's/mine" }],
    ['the usual names', { user: 'postgres', database: 'postgres' }],
    ['a role with pg inside', { user: 'my_pg_role' }],
    ['a database that only begins like a template', { database: 'template10' }],
    ['a host with dots, dashes and underscores', { host: 'db-1.my_service.example.' }],
    ['an international host name', { host: 'müller.例え' }],
    ['an IPv4 address', { host: '192.0.2.1' }],
    ['an IPv6 address', { host: '2001:DB8::1' }],
    ['an IPv6 address in brackets', { host: '[::1]' }],
    ['an IPv4-mapped IPv6 address', { host: '::ffff:192.0.2.1' }],
    ['an IPv6 address with a zone', { host: 'fe80::1%eth0' }],
  ])('accepts %s', (_what, changes) => {
    expect(() => validateChat(changes)).not.toThrow();
  });

  const EMPTY_NAME = 'name: is empty; give the name of the chat';
  const BAD_HOST = 'host: is no host name or IP address; give it alone, without protocol, port or path';
  const half = (field: string) => `${field}: contains half a character (a lone surrogate); remove it`;
  const badPort = (port: string) =>
    `port: ${port} is no TCP port; give one from 1 to 65535 (PostgreSQL's default is 5432)`;
  const badDatabase = (name: string) =>
    `database: ${name} is a name that every replica needs for itself; give the database to chat with`;
  const badUser = (name: string) =>
    `user: the role name ${name} is reserved; give the role that the application logs in with`;

  test.each<[string, ChatChanges, string]>([
    ['an empty name', { name: '' }, EMPTY_NAME],
    ['a blank name', { name: ' \t\n' }, EMPTY_NAME],
    ['a long name', { name: 'n'.repeat(201) }, 'name: has 201 characters; at most 200 are allowed'],
    ['a NUL in a name', { name: 'a\0b' }, 'name: contains a NUL character; remove it'],
    ['an empty host', { host: '' }, 'host: is empty; give a host name or an IP address'],
    ['a long host', { host: 'h'.repeat(254) }, 'host: has 254 characters; at most 253 are allowed'],
    ['a URL for a host', { host: 'postgres://db' }, BAD_HOST],
    ['a host with a path', { host: 'db/shop' }, BAD_HOST],
    ['a Unix socket', { host: '/var/run/postgresql' }, BAD_HOST],
    ['a host with a port', { host: 'localhost:5432' }, BAD_HOST],
    ['an IPv4 address with a port', { host: '10.0.0.1:5432' }, BAD_HOST],
    ['a host of hexadecimal letters with a port', { host: 'db:5432' }, BAD_HOST],
    ['an IPv6 address with a port', { host: '[::1]:5432' }, BAD_HOST],
    ['half a pair of brackets', { host: '[::1' }, BAD_HOST],
    ['a host with a user', { host: 'app@db' }, BAD_HOST],
    ['a host with spaces', { host: 'my db' }, BAD_HOST],
    ['port 0', { port: 0 }, badPort('0')],
    ['a negative port', { port: -1 }, badPort('-1')],
    ['a port beyond the last', { port: 65_536 }, badPort('65536')],
    ['half a port', { port: 1.5 }, badPort('1.5')],
    ['no number for a port', { port: Number.NaN }, badPort('NaN')],
    ['an empty user', { user: '' }, 'user: is empty; give the PostgreSQL role to log in with'],
    ['a long user', { user: 'u'.repeat(64) }, 'user: has 64 characters; at most 63 are allowed'],
    ['a user of many bytes', { user: 'é'.repeat(32) }, 'user: has 64 bytes; names in PostgreSQL have at most 63'],
    ['a NUL in a user', { user: 'a\0' }, 'user: contains a NUL character; remove it'],
    ["a role of PostgreSQL's own", { user: 'pg_monitor' }, badUser('pg_monitor')],
    ['the role public', { user: 'public' }, badUser('public')],
    ['the role none', { user: 'none' }, badUser('none')],
    ["the replica's administrator", { user: 'replichat_admin' }, badUser('replichat_admin')],
    ['an empty database', { database: ' ' }, 'database: is empty; give the name of the PostgreSQL database'],
    ['a long database', { database: 'd'.repeat(64) }, 'database: has 64 characters; at most 63 are allowed'],
    [
      'a database of many bytes',
      { database: '漢'.repeat(22) },
      'database: has 66 bytes; names in PostgreSQL have at most 63',
    ],
    ['template0', { database: 'template0' }, badDatabase('template0')],
    ['template1', { database: 'template1' }, badDatabase('template1')],
    ["the replica's database before it has this name", { database: 'replichat_fresh' }, badDatabase('replichat_fresh')],
    ["the replica's pristine copy", { database: 'replichat_pristine' }, badDatabase('replichat_pristine')],
    ["the replica's copy in the making", { database: 'replichat_growing' }, badDatabase('replichat_growing')],
    ['what a reset leaves', { database: 'replichat_used' }, badDatabase('replichat_used')],
    ['a long password', { password: 'p'.repeat(1025) }, 'password: has 1025 characters; at most 1024 are allowed'],
    ['a NUL in a password', { password: 'p\0' }, 'password: contains a NUL character; remove it'],
    ['half a character in a user', { user: 'u\ud83d' }, half('user')],
    ['half a character in a password', { password: '\ude00p' }, half('password')],
  ])('refuses %s, naming the field and the remedy', (_what, changes, message) => {
    const error = refusalOf(() => validateChat(changes));
    expect(error.code).toBe('BAD_USER_INPUT');
    expect(error.message).toBe(message);
    expect(error.facts).toEqual({ field: Object.keys(changes)[0] });
  });

  test('never repeats a password', () => {
    expect(refusalOf(() => validateChat({ password: 'hunter2\0' })).message).not.toContain('hunter2');
  });
});

function refusalOf(act: () => void): ReplichatError {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(ReplichatError);
    return error as ReplichatError;
  }
  throw new Error('was accepted');
}
