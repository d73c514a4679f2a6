import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';

const SCREENSHOTS = fileURLToPath(new URL('../../test-output/', import.meta.url));

/** A tab with the console, and what went on in it. */
export interface ConsoleTab {
  readonly page: Page;
  /** Addresses of everything that it asked for. */
  readonly requested: readonly string[];
  /** What the browser complained about. */
  readonly complaints: readonly string[];
  /** Kept for a person to look at. */
  picture(name: string): Promise<void>;
}

export async function openConsole(browser: Browser, options: BrowserContextOptions = {}): Promise<ConsoleTab> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...options });
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  const requested: string[] = [];
  const complaints: string[] = [];
  page.on('request', (request) => requested.push(request.url()));
  page.on('websocket', (socket) => requested.push(socket.url()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  const picture = async (name: string) => {
    await page.screenshot({ path: `${SCREENSHOTS}console-${name}.png` });
  };
  return { page, requested, complaints, picture };
}

/** Replaces what is in the SQL editor. */
export async function writeSql(page: Page, sql: string): Promise<void> {
  await page.getByRole('textbox', { name: 'SQL' }).fill(sql);
}

export async function runSql(page: Page, sql: string): Promise<void> {
  await writeSql(page, sql);
  await page.getByRole('textbox', { name: 'SQL' }).press('Control+Enter');
}
