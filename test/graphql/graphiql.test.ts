import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Shell, startShell } from './shell.js';

let shell: Shell;
beforeAll(async () => {
  const examples = [{ query: '# </script>\n{ hello }', variables: '{}' }];
  shell = await startShell(undefined, { examples });
});
afterAll(() => shell.close());

async function page(): Promise<{ html: string; headers: Headers }> {
  const response = await fetch(`${shell.url}/graphiql`);
  expect(response.status).toBe(200);
  return { html: await response.text(), headers: response.headers };
}

test('the page asks for nothing outside of the server', async () => {
  const { html } = await page();
  expect(html).toContain('<title>Replichat · GraphiQL</title>');
  expect(html.match(/(?:src|href)="(?!\/graphiql\/assets\/|data:)[^"]*"/g)).toBeNull();
  expect(html).not.toMatch(/\{\{/);
});

test('every asset is there, and may be kept', async () => {
  const { html } = await page();
  const assets = [...html.matchAll(/(?:src|href)="(\/graphiql\/assets\/[^"]*)"/g)].map(([, path]) => path);
  expect(assets).toHaveLength(7);
  for (const path of assets) {
    const response = await fetch(`${shell.url}${path}`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(path?.includes('.css') ? /^text\/css/ : /^text\/javascript/);
    expect(response.headers.get('cache-control')).toMatch(path?.includes('/page.') ? /max-age=0/ : /max-age=31536000/);
    expect((await response.text()).length).toBeGreaterThan(500);
    const etag = response.headers.get('etag') ?? '';
    const again = await fetch(`${shell.url}${path}`, {
      headers: { 'if-none-match': etag, 'cache-control': 'max-age=0' },
    });
    expect([etag.length > 0, again.status]).toEqual([true, 304]);
  }
});

test('the page runs no script but its own files', async () => {
  const { html, headers } = await page();
  const policy = headers.get('content-security-policy');
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("script-src 'self';");
  expect(policy).toContain(`connect-src 'self' ws://127.0.0.1:${shell.port} `);
  for (const [tag] of html.matchAll(/<script[^>]*>/g)) expect(tag).toMatch(/ src=| type="application\/json"/);
});

test('the examples reach the page, whatever is in them', async () => {
  const { html } = await page();
  const json = /<script type="application\/json" id="examples">(.*?)<\/script>/s.exec(html)?.[1] ?? '';
  expect(JSON.parse(json)).toEqual([{ query: '# </script>\n{ hello }', variables: '{}' }]);
});

test('an asset that is none of the page is not served', async () => {
  for (const name of ['package.json', '..%2f..%2fpackage.json', 'graphiql.js.map']) {
    expect((await fetch(`${shell.url}/graphiql/assets/${name}`)).status).toBe(404);
  }
});
