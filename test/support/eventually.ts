import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits for what must become true; fails with its name, and with what there is instead. For a minute less ten seconds: a
 * minute is what the server gives its clients, and how long the queries sleep that are to be ended before.
 */
export async function eventually(
  what: string,
  isSo: () => Promise<boolean>,
  withinMs = 50_000,
  instead: () => string = () => '',
): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`did not happen within ${withinMs} ms: ${what} ${instead()}`.trimEnd());
    await sleep(20);
  }
}
