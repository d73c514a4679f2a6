import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for what must become true; fails with its name. */
export async function eventually(what: string, isSo: () => Promise<boolean>, withinMs = 30_000): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`did not happen within ${withinMs} ms: ${what}`);
    await sleep(20);
  }
}
