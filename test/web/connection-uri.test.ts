import { describe, expect, test } from '@jest/globals';
import { parseConnectionUri } from '../../web/src/start/connection-uri.js';
import { pgDumpCommand } from '../../web/src/start/pg-dump-command.js';

describe('a connection URI that is pasted', () => {
  test.each([
    [
      'postgres://app:s3cret@db.test:5433/shop',
      { host: 'db.test', port: 5433, user: 'app', password: 's3cret', database: 'shop' },
    ],
    ['  postgresql://app@db.test/shop?sslmode=require\n', { host: 'db.test', user: 'app', database: 'shop' }],
    [
      'postgres://a%40b:p%2Fw%3A%20@[::1]:80/my%20shop',
      { host: '::1', port: 80, user: 'a@b', password: 'p/w: ', database: 'my shop' },
    ],
    ['postgres://db.test', { host: 'db.test' }],
  ])('%s', (uri, parts) => {
    expect(parseConnectionUri(uri)).toEqual(parts);
  });

  test.each(['mysql://db.test/shop', 'db.test', 'postgres://', 'postgres://a b@c/d', ''])('%p is none', (text) => {
    expect(parseConnectionUri(text)).toBeUndefined();
  });
});

describe('the command of pg_dump', () => {
  test('names the database, and no password', () => {
    const connection = { host: 'db.test', port: 5432, user: 'app', database: 'shop' };
    expect(pgDumpCommand(connection)).toBe('pg_dump --host=db.test --port=5432 --username=app --file=shop.sql shop');
  });

  test('quotes for the shell', () => {
    const connection = { host: 'db.test', port: 5432, user: "o'hara", database: '$(my) shop' };
    expect(pgDumpCommand(connection)).toBe(
      `pg_dump --host=db.test --port=5432 --username='o'\\''hara' --file=my-shop.sql '$(my) shop'`,
    );
  });
});
