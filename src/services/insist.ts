import { setTimeout as sleep } from 'node:timers/promises';
import { ReplichatError } from '../domain/errors.js';

const PATIENCE_MS = 30_000;
const RETRY_MS = 100;

/** For what has happened and must be saved: a database that is restarted is back in a few seconds. */
export async function insist<T>(save: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + PATIENCE_MS; ; await sleep(RETRY_MS)) {
    try {
      return await save();
    } catch (error) {
      const isAway = error instanceof ReplichatError && error.code === 'STORE_UNAVAILABLE';
      if (!isAway || Date.now() > deadline) throw error;
    }
  }
}
