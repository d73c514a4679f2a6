import { setTimeout as sleep } from 'node:timers/promises';
import type { RestoreIssue } from '../domain/replica.js';
import type { ReplicaServer } from '../ports.js';
import { usedBytes } from '../postgres/tenant.js';

const CHECK_MS = 2_000;

/** Calls `onFull` once when the server has taken more than `limit` bytes of disk. Looks until the signal aborts. */
export async function watchDisk(
  server: ReplicaServer,
  limit: number,
  signal: AbortSignal,
  onFull: () => void,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(CHECK_MS, undefined, { signal }).catch(() => {});
    // A server that does not answer is the business of whoever uses it.
    const used = signal.aborted ? 0 : await usedBytes(server).catch(() => 0);
    if (used > limit && !signal.aborted) return onFull();
  }
}

export function diskIssue(limit: number): RestoreIssue {
  return {
    code: 'DISK_LIMIT',
    message: `the replica grew beyond its ${Math.round(limit / 1024 ** 2)} MiB of disk`,
    hint: 'Raise REPLICA_DISK, or keep less in it.',
  };
}
