import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { startApp, type TestApp } from '../support/app.js';
import { chromiumAvailable, launchChromium } from '../support/chromium.js';
import { eventually } from '../support/eventually.js';
import { AUTH, tokenFor } from '../support/tokens.js';

const LIBRARY = fileURLToPath(new URL('../../examples/library.sql', import.meta.url));
const SCREENSHOTS = fileURLToPath(new URL('../../test-output/', import.meta.url));

if (await chromiumAvailable()) {
  describe('GraphiQL in a browser', describeGraphiQL);
} else {
  describe.skip('GraphiQL in a browser', () => {
    test('needs Chromium', () => {});
  });
}

function describeGraphiQL(): void {
  let app: TestApp;
  let browser: Browser;
  let page: Page;
  const requested: string[] = [];
  const complaints: string[] = [];

  beforeAll(async () => {
    app = await startApp({ REPLICA_ENGINE: 'embedded' });
    browser = await launchChromium();
    page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    page.setDefaultTimeout(120_000);
    page.on('request', (request) => requested.push(request.url()));
    page.on('websocket', (socket) => requested.push(socket.url()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
  });

  let screenshots = 0;
  afterEach(async () => {
    screenshots += 1;
    await page?.screenshot({ path: `${SCREENSHOTS}graphiql-${screenshots}.png` });
  });

  afterAll(async () => {
    await browser?.close();
    await app?.app.close();
  });

  async function open(tab: string): Promise<void> {
    await page.getByRole('tab', { name: tab }).click();
    await page.locator('.graphiql-query-editor', { hasText: tab }).waitFor();
  }

  async function run(): Promise<void> {
    await page.getByRole('button', { name: 'Execute query' }).click();
  }

  /** What the response pane shows, once it is what is being waited for. CodeMirror indents by hard spaces. */
  async function shown(what: string, isSo: (text: string) => boolean): Promise<string> {
    let text = '';
    await eventually(what, async () => {
      text = (await page.locator('.graphiql-response .CodeMirror-line').allTextContents())
        .join('\n')
        .replaceAll('\u00a0', ' ');
      return isSo(text);
    });
    return text;
  }

  test('whoever opens the API in a browser is led to it', async () => {
    await page.goto(app.url);
    expect(page.url()).toBe(app.url.replace(/graphql$/, 'graphiql'));
    await page.getByRole('tab', { name: 'CreateChat' }).waitFor();
    expect(await page.locator('#chat').textContent()).toContain('no chat yet');
  });

  test('the first tab creates a chat, which is then the selected one', async () => {
    await run();
    const { data } = JSON.parse(await shown('a chat', (text) => text.includes('"id"')));
    expect(data.createChat.name).toBe('Library');
    await eventually('it is selected', async () => (await page.locator('#chat').inputValue()) === data.createChat.id);
  });

  test('the second tab asks for a file', async () => {
    await open('UploadReplica');
    await run();
    await shown('the remedy', (text) => text.includes('Choose a file first, at the top of the page.'));
  });

  test('and uploads the one that was picked', async () => {
    await page.locator('#file').setInputFiles(LIBRARY);
    await run();
    const { data } = JSON.parse(await shown('a replica', (text) => text.includes('"engine"')));
    expect(data.uploadReplica.engine).toBe('embedded');
  });

  test('the third tab watches until the replica is ready', async () => {
    await open('Watch');
    await run();
    const { data } = JSON.parse(await shown('READY', (text) => text.includes('READY')));
    expect(data.replicationStatus).toMatchObject({ percent: 100, error: null, warnings: [] });
  });

  test('the fourth tab asks the replica', async () => {
    await open('Ask');
    await run();
    const { data } = JSON.parse(await shown('rows', (text) => text.includes('"durationMs"')));
    expect(data.runQuery.columns).toEqual(['name', 'rows']);
    expect(data.runQuery.rows).toContainEqual({ name: 'copy', rows: 4000 });
  });

  test('the schema is there to read', async () => {
    await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
    await page.getByText('All Schema Types').waitFor();
  });

  test('a token in the headers lets in, over WebSocket, too', async () => {
    const guarded = await startApp({ ...AUTH, REPLICA_ENGINE: 'embedded' });
    const chatId = await guarded.as(await tokenFor('ada')).createChat({ name: 'Ada’s' });
    page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    await page.goto(guarded.url.replace(/graphql$/, 'graphiql'));
    await eventually('the remedy', async () =>
      /needs a token/.test((await page.locator('#state').textContent()) ?? ''),
    );
    await page.getByRole('tab', { name: 'Watch' }).click();
    await page.getByRole('button', { name: 'Headers' }).click();
    await page
      .locator('section[aria-label="Headers"] .CodeMirror, .graphiql-editor-tool .CodeMirror:visible')
      .last()
      .click();
    await page.keyboard.insertText(JSON.stringify({ authorization: `Bearer ${await tokenFor('ada')}` }));
    await run();
    await eventually('her chat is listed', async () => (await page.locator('#chat').inputValue()) === chatId);
    await run();
    expect(await guarded.as(await tokenFor('ada')).replicate(chatId, 'select 1;')).toMatchObject({ state: 'READY' });
    await shown('READY', (text) => text.includes('READY'));
    await guarded.app.close();
  });

  test('nothing was asked of anyone else, and the browser had nothing to complain about', () => {
    const { host } = new URL(app.url);
    const origins = [`http://${host}/`, `ws://${host}/`, 'data:'];
    expect(requested.length).toBeGreaterThan(10);
    expect(requested.filter((url) => !origins.some((origin) => url.startsWith(origin)))).toEqual([]);
    expect(requested).toContain(`ws://${host}/graphql`);
    expect(complaints).toEqual([]);
  });
}
