import type { ServerStop } from '../ports.js';

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

/** How long after the loss of a session it may take until the end of its server is known. */
export const STOP_NOTICED_MS = 1_000;

export const DISPOSED: ServerStop = { reason: 'DISPOSED', message: 'the server was removed' };

export function outOfMemory(memoryBytes: number): ServerStop {
  return {
    reason: 'OUT_OF_MEMORY',
    message: `out of memory: the replica may use ${memorySize(memoryBytes)} (REPLICA_MEMORY)`,
  };
}

function memorySize(bytes: number): string {
  return bytes >= GiB ? `${Number((bytes / GiB).toFixed(1))} GiB` : `${Math.round(bytes / MiB)} MiB`;
}
