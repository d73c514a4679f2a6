import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { barriers } from '../support/accessibility.js';
import { type OpenUpload, type Status, startApp, type TestApp } from '../support/app.js';
import { chromiumAvailable, launchChromium } from '../support/chromium.js';
import { type ConsoleTab, openConsole } from '../support/console.js';
import { eventually } from '../support/eventually.js';
import { Line } from '../support/line.js';
import { AUTH, tokenFor } from '../support/tokens.js';

const LIBRARY = fileURLToPath(new URL('../../examples/library.sql', import.meta.url));
/** Of an upload, while there is something to see of it. */
const SLOW = 500_000;

if (await chromiumAvailable()) {
  describe('a replication in the console', describeReplication);
  describe('the console of a server with tokens', describeTokens);
} else {
  describe.skip('a replication in the console', () => {
    test('needs Chromium', () => {});
  });
}

function describeReplication(): void {
  let app: TestApp;
  let line: Line;
  let browser: Browser;
  let tab: ConsoleTab;
  let chatId: string;
  let upload: OpenUpload;

  beforeAll(async () => {
    app = await startApp({ REPLICA_ENGINE: 'embedded' });
    line = await Line.to(app.port);
    browser = await launchChromium();
    tab = await openConsole(browser);
    await tab.page.goto(`http://localhost:${line.port}/`);
  });

  afterAll(async () => {
    await browser?.close();
    await line?.cut();
    await app?.app.close();
  });

  const progress = (page: Page) => page.getByRole('region', { name: 'Replication' });
  const failure = (page: Page) => page.getByRole('region', { name: 'The replication ended' });
  const choose = (page: Page, name: string, buffer: Buffer) =>
    page.locator('input[type=file]').first().setInputFiles({ name, mimeType: 'application/sql', buffer });

  async function limitUploads(page: Page, bytesPerSecond: number): Promise<void> {
    const session = await page.context().newCDPSession(page);
    await session.send('Network.emulateNetworkConditions', {
      offline: false,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput: bytesPerSecond,
    });
  }

  test('begins with a chat, whose form is filled in by a URI', async () => {
    const { page } = tab;
    await page.getByLabel('Connection URI').fill('postgres://librarian:s3cr%3At@db.test:5433/library');
    expect(await page.getByLabel('Password').inputValue()).toBe('s3cr:t');
    const command = 'pg_dump --host=db.test --port=5433 --username=librarian --file=library.sql library';
    await page.getByText(command).waitFor();
    await page.getByRole('button', { name: 'Copy the command' }).click();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(command);
    await tab.picture('form');
    await page.getByRole('button', { name: 'Create the chat' }).click();
    await page.getByRole('heading', { name: 'Drop a dump of library here' }).waitFor();
    chatId = new URL(page.url()).pathname.split('/')[2] as string;
    expect(await barriers(page)).toEqual([]);
    await tab.picture('no-replica');
  });

  test('a file that is none is refused with the remedy', async () => {
    const { page } = tab;
    await choose(page, 'photo.zip', Buffer.from('PK\u0003\u0004 no dump at all'));
    await failure(page).getByText('photo.zip was not accepted').waitFor();
    expect(await failure(page).getByRole('alert').textContent()).toMatch(/unzip/);
    await tab.picture('refused');
    await page.getByRole('button', { name: 'Hide' }).click();
  });

  test('a file that is being sent shows how far it is, and is cancelled', async () => {
    const { page } = tab;
    await limitUploads(page, SLOW);
    const bytes = await readFile(LIBRARY);
    await choose(page, 'library.sql', Buffer.concat([bytes, Buffer.from('\n'.repeat(60 * SLOW))]));
    const bar = progress(page).getByRole('progressbar', { name: 'Upload' });
    await eventually('some of it has arrived', async () => Number(await bar.getAttribute('aria-valuenow')) > 4);
    await progress(page)
      .getByText(/ of .* MB uploaded/)
      .waitFor();
    expect(await barriers(page)).toEqual([]);
    await tab.picture('uploading');
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('heading', { name: 'The replication was cancelled' }).waitFor();
    await limitUploads(page, -1);
  });

  test('a failure says line, statement and hint', async () => {
    const { page } = tab;
    const dump = 'CREATE TABLE book (title text);\n\nINSERT INTO book (title, titel) VALUES (1, 2);\n';
    await choose(page, 'broken.sql', Buffer.from(dump));
    const alert = failure(page).getByRole('alert');
    await alert.getByText('column "titel" of relation "book" does not exist').waitFor();
    expect(await failure(page).textContent()).toContain('The replication failed');
    expect(await alert.textContent()).toMatch(/\(42703\)Line 3 of the file.*INSERT INTO book \(title, titel\)/);
    expect(await barriers(page)).toEqual([]);
    await tab.picture('failed');
  });

  test('a file may be dropped', async () => {
    const { page } = tab;
    const data = await page.evaluateHandle(`(() => {
      const data = new DataTransfer();
      data.items.add(new File(['CREATE TABLE dropped (id int);'], 'dropped.sql'));
      return data;
    })()`);
    await page.dispatchEvent('.drop-target', 'dragenter', { dataTransfer: data });
    await page.getByText('Drop the dump').waitFor();
    await tab.picture('drop');
    await page.dispatchEvent('.drop-target', 'drop', { dataTransfer: data });
    await page.getByRole('button', { name: 'Ask for the first rows of dropped' }).waitFor();
    await tab.picture('dropped');
  });

  test('a reload in the middle shows the truth, and so does a second tab', async () => {
    const { page } = tab;
    const dump = await readFile(LIBRARY, 'utf8');
    upload = app.openUpload(chatId);
    upload.write(dump.slice(0, 600_000));
    await progress(page)
      .getByText(/have arrived/)
      .waitFor();
    await eventually('it is restoring', async () => (await app.status(chatId))?.state === 'RESTORING');
    await page.reload();
    await progress(page)
      .getByText(/have arrived/)
      .waitFor();
    await tab.picture('reloaded');
    // The earlier replica answers meanwhile.
    await page.getByRole('button', { name: 'Ask for the first rows of dropped' }).waitFor();
    const second = await openConsole(browser, { colorScheme: 'dark' });
    await second.page.goto(page.url());
    await progress(second.page)
      .getByText(/have arrived/)
      .waitFor();
    await second.picture('second-tab');
    upload.write(dump.slice(600_000));
    upload.finish();
    for (const { page } of [tab, second]) {
      await page.getByRole('button', { name: 'Ask for the first rows of reservation' }).waitFor();
      expect(await page.getByRole('button', { name: 'Ask for the first rows of dropped' }).count()).toBe(0);
    }
    expect(second.complaints).toEqual([]);
    await second.page.context().close();
  });

  test('a replica that is deleted in one tab is gone in the other, which goes on to see the next one', async () => {
    const { page } = tab;
    const second = await openConsole(browser);
    const sent: string[] = [];
    second.page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => sent.push(String(payload))));
    await second.page.goto(page.url());
    await second.page.getByRole('button', { name: 'Ask for the first rows of reservation' }).waitFor();
    const ready = (await app.status(chatId)) as Status;
    await eventually('it waits for what comes after', async () =>
      sent.some((message) => message.includes(`"after":${ready.sequence}`)),
    );
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByRole('button', { name: 'Delete the replica' }).click();
    for (const shown of [page, second.page]) await shown.getByText('None yet. A dump makes one').waitFor();
    const library = await readFile(LIBRARY);
    // The chat is busy until the server of the replica is gone.
    await eventually('the next one is accepted', async () => !(await app.upload(chatId, library)).errors);
    for (const shown of [page, second.page]) {
      await shown.getByRole('button', { name: 'Ask for the first rows of reservation' }).waitFor();
    }
    expect(second.complaints).toEqual([]);
    await second.page.context().close();
  });

  test('a connection that is lost is found again, with what has happened meanwhile', async () => {
    const { page } = tab;
    const dump = await readFile(LIBRARY, 'utf8');
    upload = app.openUpload(chatId);
    upload.write(dump.slice(0, 600_000));
    await progress(page)
      .getByText(/have arrived/)
      .waitFor();
    await line.cut();
    await page.getByText('The connection is lost').waitFor();
    await tab.picture('connection-lost');
    upload.write(`${dump.slice(600_000)}\nCREATE TABLE public.meanwhile (id int);\n`);
    upload.finish();
    await eventually('it is ready', async () => (await app.status(chatId))?.state === 'READY');
    await app.runQuery(chatId, 'SELECT 1 AS meanwhile');
    await line.mend();
    await page.getByRole('button', { name: 'Ask for the first rows of meanwhile' }).waitFor();
    await page.getByRole('columnheader', { name: 'meanwhile' }).waitFor();
    expect(await page.getByText('The connection is lost').count()).toBe(0);
  });

  test('a restarted server is believed', async () => {
    const { page } = tab;
    await line.cut();
    await app.app.close();
    app = await startApp({ REPLICA_ENGINE: 'embedded' });
    await line.mend(app.port);
    await page.getByRole('heading', { name: 'This chat is gone' }).waitFor();
    await tab.picture('gone');
  });
}

function describeTokens(): void {
  let app: TestApp;
  let browser: Browser;

  beforeAll(async () => {
    app = await startApp({ REPLICA_ENGINE: 'embedded', ...AUTH });
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser?.close();
    await app?.app.close();
  });

  test('asks for one, and uses it on both transports', async () => {
    const { page, picture } = await openConsole(browser);
    await page.goto(new URL('/', app.url).href);
    const dialog = page.getByRole('dialog', { name: 'Who are you?' });
    await dialog.waitFor();
    await picture('token');
    await dialog.getByLabel('Token').fill(await tokenFor('reader'));
    await dialog.getByRole('button', { name: 'Continue' }).click();
    await dialog.waitFor({ state: 'detached' });
    await page.getByLabel('Connection URI').fill('postgres://app@db.test/shop');
    await page.getByRole('button', { name: 'Create the chat' }).click();
    await page.getByRole('heading', { name: 'Drop a dump of shop here' }).waitFor();
    await page.getByText('Text', { exact: true }).click();
    await page.getByRole('textbox', { name: 'Text' }).fill('Hello');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.locator('.TextContent', { hasText: 'Hello' }).waitFor();
    expect(await dialog.count()).toBe(0);
  });
}
