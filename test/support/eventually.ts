import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for what must become true; fails with its name, and with what there is instead. */
export async function eventually(
  what: string,
  isSo: () => Promise<boolean>,
  withinMs = 30_000,
  instead: () => string = () => '',
): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`did not happen within ${withinMs} ms: ${what} ${instead()}`.trimEnd());
    await sleep(20);
  }
}
