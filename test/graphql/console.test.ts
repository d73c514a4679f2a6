import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createConsole } from '../../src/graphql/console.js';
import { type Shell, startShell } from './shell.js';

const SCRIPT = `console.log(${JSON.stringify('x'.repeat(5_000))})`;

let folder: string;
let shell: Shell;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'console-'));
  await mkdir(join(folder, 'assets'));
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>The page</title>');
  await writeFile(join(folder, 'assets/index-abc123.js'), SCRIPT);
  await writeFile(join(folder, '.made-of'), 'a secret of the build');
  shell = await startShell(undefined, { routes: createConsole(folder) });
});
afterAll(async () => {
  await shell.close();
  await rm(folder, { recursive: true });
});

test('the page is at / and at the addresses of its own', async () => {
  for (const path of ['/', '/chats/0123456789abcdefghij', '/chats/0123456789abcdefghij/diagram']) {
    const response = await fetch(`${shell.url}${path}`);
    expect([path, response.status, response.headers.get('cache-control')]).toEqual([path, 200, 'no-cache']);
    expect(await response.text()).toContain('The page');
  }
});

test('it runs its own scripts only, and asks nobody but the server', async () => {
  const policy = (await fetch(shell.url)).headers.get('content-security-policy');
  expect(policy).toContain("default-src 'none'; script-src 'self';");
  expect(policy).toContain(`connect-src 'self' ws://127.0.0.1:${shell.port} `);
  expect(policy).toContain("frame-ancestors 'none'");
});

test('assets are compressed and may be kept for good', async () => {
  const response = await fetch(`${shell.url}/assets/index-abc123.js`);
  expect(response.headers.get('content-encoding')).toBe('gzip');
  expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
  expect(await response.text()).toBe(SCRIPT);
});

test('nothing else is served', async () => {
  for (const path of ['/.made-of', '/assets/.made-of', '/assets/', '/assets/..%2f.made-of', '/index.html', '/chats']) {
    expect([path, (await fetch(`${shell.url}${path}`)).status]).toEqual([path, 404]);
  }
});

test('without its development dependencies a server says what to do', async () => {
  const empty = await startShell(undefined, { routes: createConsole(join(folder, 'nowhere')) });
  const response = await fetch(empty.url);
  expect(response.status).toBe(404);
  expect(await response.text()).toContain('run `npm ci` without --omit=dev');
  await empty.close();
});
