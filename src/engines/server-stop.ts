import type { ServerStop } from '../ports.js';

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

/** A session that is lost within this time after the cause is known was lost to it. */
export const BLAMED_MS = 30_000;

/** How long after the loss of a session it may take until the end of its server is known. */
export const STOP_NOTICED_MS = 1_000;

export const DISPOSED: ServerStop = { reason: 'DISPOSED', message: 'the server was removed' };

export const DISK_FULL: ServerStop = {
  reason: 'DISK_FULL',
  message: 'the disk that replicas are on is full: free some, or delete replicas',
};

/** Whether PostgreSQL, or initdb, has ended for that. No statement gets words of its own into such a line. */
export function saysDiskFull(log: string): boolean {
  return /^.*(PANIC|FATAL|error): +could not .*No space left on device$/m.test(log);
}

export function outOfMemory(memoryBytes: number): ServerStop {
  return {
    reason: 'OUT_OF_MEMORY',
    message: `out of memory: the replica may use ${memorySize(memoryBytes)} (REPLICA_MEMORY)`,
  };
}

function memorySize(bytes: number): string {
  return bytes >= GiB ? `${Number((bytes / GiB).toFixed(1))} GiB` : `${Math.round(bytes / MiB)} MiB`;
}
