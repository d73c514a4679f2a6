import { randomBytes } from 'node:crypto';
import type { ReplicaServer } from '../ports.js';
import type { CancelKey } from './messages.js';

/** Where a CancelRequest goes, and the key that is known there. */
interface Target {
  readonly server: ReplicaServer;
  readonly key: CancelKey;
}

const PROCESS_ID_BYTES = 4;

/**
 * The keys that clients have been given. Those of PostgreSQL are unique within a server only, and a server that a dump
 * has broken into could hand out another's; the process id stays, as SQL shows it too (pg_backend_pid).
 */
export class CancelKeys {
  readonly #targets = new Map<string, Target>();

  /** A key for clients in the place of a server's, until `forget`. */
  issue(server: ReplicaServer, key: CancelKey): CancelKey {
    for (;;) {
      const issued = Buffer.concat([key.subarray(0, PROCESS_ID_BYTES), randomBytes(key.length - PROCESS_ID_BYTES)]);
      if (this.find(issued)) continue;
      this.#targets.set(issued.toString('hex'), { server, key });
      return issued;
    }
  }

  find(issued: CancelKey): Target | undefined {
    return this.#targets.get(issued.toString('hex'));
  }

  forget(issued: CancelKey): void {
    this.#targets.delete(issued.toString('hex'));
  }
}
