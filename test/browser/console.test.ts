import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { barriers } from '../support/accessibility.js';
import { startApp, type TestApp } from '../support/app.js';
import { chromiumAvailable, launchChromium } from '../support/chromium.js';
import { type ConsoleTab, openConsole, runSql } from '../support/console.js';
import { eventually } from '../support/eventually.js';

const MOST_FIRST_BYTES = 350_000;

if (await chromiumAvailable()) {
  describe('the console', describeConsole);
} else {
  describe.skip('the console', () => {
    test('needs Chromium', () => {});
  });
}

function describeConsole(): void {
  let app: TestApp;
  let browser: Browser;
  let tab: ConsoleTab;

  beforeAll(async () => {
    app = await startApp({ REPLICA_ENGINE: 'embedded' });
    browser = await launchChromium();
    tab = await openConsole(browser);
  });

  afterAll(async () => {
    await browser?.close();
    await app?.app.close();
  });

  const tooWide = () => tab.page.evaluate<boolean>('document.documentElement.scrollWidth > innerWidth');

  /** As others do it. */
  async function post(content: Record<string, unknown>): Promise<void> {
    const chatId = new URL(tab.page.url()).pathname.split('/')[2];
    const mutation = 'mutation($input: PostMessageInput!) { postMessage(input: $input) { id } }';
    const { errors } = await app.graphql(mutation, { input: { chatId, role: 'ASSISTANT', content } });
    expect(errors).toBeUndefined();
  }

  test('is what the server shows at /, and loads little at first', async () => {
    const { page } = tab;
    await page.goto(new URL('/', app.url).href, { waitUntil: 'networkidle' });
    await page.getByRole('heading', { name: 'Chat with a copy of your database' }).waitFor();
    const bytes = await page.evaluate<number>(
      'performance.getEntries().reduce((sum, { encodedBodySize = 0 }) => sum + encodedBodySize, 0)',
    );
    expect(bytes).toBeGreaterThan(50_000);
    expect(bytes).toBeLessThan(MOST_FIRST_BYTES);
    expect(await barriers(page)).toEqual([]);
    await tab.picture('start');
  });

  test('one click makes a chat with a replica of the sample database', async () => {
    const { page } = tab;
    await page.getByRole('button', { name: 'Try the sample database' }).click();
    await page.waitForURL(/\/chats\/[0-9a-z]{20}$/);
    await page.getByRole('heading', { name: 'The replica is ready' }).waitFor();
    await page.getByRole('link', { name: 'ready: Library' }).waitFor();
    expect(await barriers(page)).toEqual([]);
    expect(await tooWide()).toBe(false);
    await tab.picture('ready');
  });

  test('a suggestion fills the editor, and Ctrl+Enter runs it', async () => {
    const { page } = tab;
    await page.getByRole('button', { name: 'loan by month' }).click();
    const editor = page.getByRole('textbox', { name: 'SQL' });
    await eventually('the query is there', async () => /date_trunc/.test((await editor.textContent()) ?? ''));
    await editor.press('Control+Enter');
    await page.getByRole('columnheader', { name: 'month' }).waitFor();
    expect(await page.getByText(/^48 rows · /).count()).toBe(1);
  });

  test('a chart at one click, which can be posted', async () => {
    const { page } = tab;
    await page.getByRole('button', { name: 'Chart', exact: true }).click();
    const chart = page.getByRole('img', { name: 'Line chart of count over month, 48 rows' });
    await chart.waitFor();
    await page.getByText('Points', { exact: true }).click();
    await page.getByRole('img', { name: /^Scatter chart/ }).waitFor();
    await page.getByText('Bars', { exact: true }).click();
    await page.getByRole('img', { name: /^Bar chart/ }).waitFor();
    await page.getByText('Line', { exact: true }).click();
    await chart.waitFor();
    await page.getByRole('button', { name: 'Post the picture' }).click();
    const picture = page.locator('.ImageContent img');
    await picture.waitFor();
    await eventually('it is loaded and scrolled to', () =>
      page.evaluate<boolean>(`(() => {
        const image = document.querySelector('.ImageContent img');
        return image.naturalWidth > 300 && image.getBoundingClientRect().bottom < innerHeight;
      })()`),
    );
    expect(await picture.getAttribute('alt')).toBe('Line chart of count over month, 48 rows');
    expect(await barriers(page)).toEqual([]);
    await tab.picture('chart');
  });

  test('names are completed from the schema', async () => {
    const { page } = tab;
    const editor = page.getByRole('textbox', { name: 'SQL' });
    await editor.fill('');
    await editor.pressSequentially('SELECT * FROM reserv');
    await page.locator('.cm-tooltip-autocomplete', { hasText: 'reservation' }).waitFor();
    await tab.picture('completion');
    await editor.press('Tab');
    await eventually('it is completed', async () => /FROM reservation$/.test((await editor.textContent()) ?? ''));
  });

  test('an error of SQL points at the place', async () => {
    const { page } = tab;
    await runSql(page, 'SELECT title,\n  tile\nFROM book');
    const alert = page.getByRole('alert');
    await alert.getByText('column "tile" does not exist').waitFor();
    expect(await alert.textContent()).toContain('Hint: Perhaps you meant to reference the column "book.title".');
    expect(await page.locator('.cm-lintRange-error').textContent()).toBe('tile');
    await tab.picture('sql-error');
  });

  test('10,000 rows are scrolled and sorted with few of them in the page', async () => {
    const { page } = tab;
    await page.getByRole('combobox', { name: 'Rows at most' }).selectOption('10000');
    await runSql(page, 'SELECT n, md5(n::text) AS hash, NULL AS nothing FROM generate_series(1, 20000) n');
    await page.getByText('the first 10,000 rows; there are more').waitFor();
    const table = page.getByRole('table').last();
    expect(await table.getAttribute('aria-rowcount')).toBe('10001');
    const header = page.getByRole('columnheader', { name: 'n', exact: true }).last();
    await header.getByRole('button').click();
    await header.getByRole('button').click();
    await eventually('it is sorted', async () => (await header.getAttribute('aria-sort')) !== null);
    const scroller = page.getByRole('region', { name: 'Rows' }).last();
    await scroller.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    const last = (await header.getAttribute('aria-sort')) === 'ascending' ? '10000' : '1';
    await table.getByRole('cell', { name: last, exact: true }).waitFor();
    expect(await table.getByRole('row').count()).toBeLessThan(60);
    await tab.picture('many-rows');
  });

  test('rows are saved as CSV', async () => {
    const { page } = tab;
    await runSql(page, `SELECT 1 AS id, 'a "b"' AS name, NULL AS note`);
    await page.getByRole('columnheader', { name: 'note' }).waitFor();
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'CSV' }).last().click();
    const path = await (await download).path();
    expect(await readFile(path, 'utf8')).toBe('id,name,note\r\n1,"a ""b""",\r\n');
  });

  test('writing takes to say so, and reset undoes it', async () => {
    const { page } = tab;
    const countBooks = async () => {
      await runSql(page, 'SELECT count(*) AS books FROM book');
      await page.getByRole('columnheader', { name: 'books' }).last().waitFor();
    };
    await runSql(page, 'CREATE TABLE mine (id int)');
    await page.getByText('cannot execute CREATE TABLE in a read-only transaction').waitFor();
    await page.getByRole('combobox', { name: 'Access' }).selectOption('READ_WRITE');
    await page.getByRole('button', { name: 'Run' }).click();
    await page.getByRole('button', { name: 'mine', exact: false }).first().waitFor();
    await countBooks();
    await page.getByRole('button', { name: 'Reset' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Reset' }).click();
    await eventually(
      'the table is gone',
      async () => (await page.getByRole('button', { name: 'Ask for the first rows of mine' }).count()) === 0,
    );
    await page.getByRole('combobox', { name: 'Access' }).selectOption('READ_ONLY');
  });

  test('words are posted, too', async () => {
    const { page } = tab;
    await page.getByText('Text', { exact: true }).click();
    await page.getByRole('textbox', { name: 'Text' }).fill('Why so few loans in 2024?');
    await page.getByRole('textbox', { name: 'Text' }).press('Control+Enter');
    await page.locator('.TextContent', { hasText: 'Why so few loans in 2024?' }).waitFor();
    expect(await page.getByRole('textbox', { name: 'Text' }).inputValue()).toBe('');
    await page.getByText('SQL', { exact: true }).click();
  });

  test('a picture of another server is loaded on request only', async () => {
    const { page } = tab;
    await post({ image: { url: 'https://pictures.test/cat.png', alt: 'A cat' } });
    await page.getByRole('button', { name: 'Load the picture from pictures.test' }).waitFor();
    expect(tab.requested.filter((url) => url.includes('pictures.test'))).toEqual([]);
  });

  test('older messages come when they are scrolled to', async () => {
    const { page } = tab;
    for (let number = 1; number <= 30; number++) await post({ text: `Note ${number}` });
    await page.getByText('Note 30', { exact: true }).waitFor();
    await page.reload();
    await page.getByText('Note 30', { exact: true }).waitFor();
    expect(await page.getByText('Note 5', { exact: true }).count()).toBe(0);
    const log = page.getByRole('region', { name: 'Conversation' });
    await eventually('the first message is there', async () => {
      await log.evaluate((element) => element.scrollTo(0, 0));
      return (await page.locator('.QueryContent', { hasText: 'date_trunc' }).count()) === 1;
    });
    const texts = await page.locator('.TextContent .text').allTextContents();
    expect(texts.slice(-30)).toEqual(Array.from({ length: 30 }, (_none, index) => `Note ${index + 1}`));
  });

  test('tables are searched by their columns, and lead to their rows', async () => {
    const { page } = tab;
    await page.getByRole('searchbox').fill('publisher_id');
    const list = page.getByRole('region', { name: 'Tables' });
    await eventually('book and publisher are left', async () => (await list.locator('.table-line').count()) === 2);
    await tab.picture('search');
    await page.getByRole('button', { name: 'Ask for the first rows of publisher' }).click();
    await page.getByRole('textbox', { name: 'SQL' }).press('Control+Enter');
    await page.getByRole('columnheader', { name: 'publisher_id' }).waitFor();
    await page.getByRole('searchbox').fill('');
    await page.getByRole('button', { name: 'Copy the schema as text' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toContain('publisher_id');
  });

  test('the password of the replica is shown on request', async () => {
    const { page } = tab;
    await page.getByRole('button', { name: 'Connect with a PostgreSQL client' }).click();
    const uri = page.getByRole('region', { name: 'Replica' }).locator('code');
    expect(await uri.textContent()).toMatch(/^postgres:\/\/librarian\.[0-9a-z]{20}:•+@127\.0\.0\.1:\d+\/library$/);
    await page.getByRole('button', { name: 'Show the password' }).click();
    expect(await uri.textContent()).toMatch(/^postgres:\/\/librarian\.[0-9a-z]{20}:[^•@]+@127\.0\.0\.1:\d+\/library$/);
    await tab.picture('uri');
  });

  test('a picture of the tables and their foreign keys', async () => {
    const { page } = tab;
    await page.getByRole('link', { name: 'Diagram' }).click();
    await page.locator('.react-flow__node', { hasText: 'loan_id' }).first().waitFor();
    // All tables but the partitions, and no views.
    expect(await page.locator('.react-flow__node').count()).toBe(12);
    await eventually('the keys are drawn', async () => (await page.locator('.react-flow__edge').count()) >= 12);
    await page.locator('.react-flow__node', { hasText: 'renewals' }).click();
    await eventually('its keys are marked', async () => (await page.locator('.react-flow__edge.marked').count()) === 3);
    expect(await barriers(page)).toEqual([]);
    await tab.picture('diagram');
  });

  test('in the dark', async () => {
    const { page } = tab;
    const brightness = () => page.evaluate<string>('getComputedStyle(document.documentElement).backgroundColor');
    const day = await brightness();
    await page.emulateMedia({ colorScheme: 'dark' });
    await eventually('it is dark', async () => (await brightness()) !== day);
    await tab.picture('diagram-dark');
    await page.getByRole('link', { name: 'Conversation' }).click();
    await page.getByRole('textbox', { name: 'SQL' }).waitFor();
    expect(await barriers(page)).toEqual([]);
    await tab.picture('dark');
    await page.getByRole('button', { name: 'Colours: system' }).click();
    await eventually('it is light, as chosen', async () => (await brightness()) === day);
    await page.reload();
    await page.getByRole('button', { name: 'Colours: light' }).waitFor();
    expect(await brightness()).toBe(day);
  });

  test('on a phone nothing is wider than the screen', async () => {
    const { page } = tab;
    await page.setViewportSize({ width: 360, height: 740 });
    for (const view of ['Conversation', 'Database', 'Diagram']) {
      await page.getByRole('link', { name: view }).click();
      await page
        .locator({ Conversation: '.cm-content', Database: '.table-line', Diagram: '.table-box' }[view] ?? '')
        .first()
        .waitFor();
      expect([view, await tooWide()]).toEqual([view, false]);
      expect([view, await barriers(page)]).toEqual([view, []]);
      await tab.picture(`phone-${view.toLowerCase()}`);
    }
    await page.getByRole('link', { name: 'All chats' }).click();
    await page.getByRole('heading', { name: 'Chat with a copy of your database' }).waitFor();
    expect(await tooWide()).toBe(false);
    await tab.picture('phone-start');
  });

  test('a chat that is deleted is gone in every tab', async () => {
    const { page } = tab;
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.getByRole('link', { name: 'ready: Library' }).click();
    const second = await openConsole(browser);
    await second.page.goto(page.url());
    await second.page.getByRole('heading', { name: 'Library', exact: true }).waitFor();
    await second.page.getByText('Note 30', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Delete the chat' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete the chat' }).click();
    await page.getByRole('heading', { name: 'Chat with a copy of your database' }).waitFor();
    expect(await page.getByRole('link', { name: 'ready: Library' }).count()).toBe(0);
    await second.page.getByRole('heading', { name: 'This chat is gone' }).waitFor();
    await second.page.context().close();
  });

  test('nothing was asked of anyone else, and the browser had nothing to complain about', () => {
    const { host } = new URL(app.url);
    const origins = [`http://${host}/`, `ws://${host}/`, 'data:', 'blob:'];
    expect(tab.requested.filter((url) => !origins.some((origin) => url.startsWith(origin)))).toEqual([]);
    expect(tab.requested).toContain(`ws://${host}/graphql`);
    expect(tab.complaints).toEqual([]);
  });
}
