import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { startApp, type TestApp } from '../support/app.js';
import { chromiumAvailable, launchChromium } from '../support/chromium.js';
import { type ConsoleTab, openConsole, runSql } from '../support/console.js';
import { eventually } from '../support/eventually.js';

if (await chromiumAvailable()) {
  describe('the first minute with the console', describeFirstMinute);
} else {
  describe.skip('the first minute with the console', () => {
    test('needs Chromium', () => {});
  });
}

function describeFirstMinute(): void {
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

  test('the server shows it at /', async () => {
    await tab.page.goto(new URL('/', app.url).href);
    await tab.page.getByRole('heading', { name: 'Chat with a copy of your database' }).waitFor();
    await tab.picture('start');
  });

  test('one click makes a chat with a replica of the sample database', async () => {
    const { page } = tab;
    await page.getByRole('button', { name: 'Try the sample database' }).click();
    await page.waitForURL(/\/chats\/[0-9a-z]{20}$/);
    await page.getByRole('heading', { name: 'The replica is ready' }).waitFor();
    await tab.picture('ready');
  });

  test('a suggestion fills the editor, and Ctrl+Enter runs it', async () => {
    const { page } = tab;
    await page.getByRole('button', { name: 'loan by month' }).click();
    const editor = page.getByRole('textbox', { name: 'SQL' });
    await eventually('the query is there', async () => /date_trunc/.test((await editor.textContent()) ?? ''));
    await editor.press('Control+Enter');
    await page.getByRole('columnheader', { name: 'month' }).waitFor();
    await tab.picture('result');
  });

  test('another query of its own', async () => {
    const { page } = tab;
    await runSql(page, 'SELECT count(*) AS loans FROM loan');
    await page.getByRole('columnheader', { name: 'loans' }).waitFor();
  });

  test('nothing was asked of anyone else, and the browser had nothing to complain about', () => {
    const { host } = new URL(app.url);
    const origins = [`http://${host}/`, `ws://${host}/`, 'data:'];
    expect(tab.requested.filter((url) => !origins.some((origin) => url.startsWith(origin)))).toEqual([]);
    expect(tab.requested).toContain(`ws://${host}/graphql`);
    expect(tab.complaints).toEqual([]);
  });
}
