import { ReplichatError } from '../domain/errors.js';
import { ReplicationStopped } from './replication.js';
import type { RunningReplica } from './running.js';

/** What a chat is busy with: a replication from the first look at its upload to its end, or the removal of its replica. */
export class Job {
  readonly controller = new AbortController();
  readonly ended: Promise<void>;
  /** Replaced by the replication's server, and to be removed when that is READY. */
  replaced: RunningReplica | undefined;
  /** What is left of it takes a moment: the chat may soon be busy with something else. */
  isOver = false;
  /** Of its first status; none comes before it is accepted. */
  sequence = Number.POSITIVE_INFINITY;
  stopListening = () => {};
  end!: () => void;

  constructor(
    /** To the quotas, unless the replica has kept it by then. Undefined for a removal. */
    public givePlaceBack?: () => void,
  ) {
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
  }
}

/** Why a replication ends at once. */
export const CANCELLED = new ReplicationStopped('cancelled', {
  code: 'CANCELLED',
  message: 'the replication was cancelled',
});

export const INTERRUPTED = new ReplicationStopped('failed', {
  code: 'INTERRUPTED',
  message: 'the server was shut down during the restore',
  hint: 'Upload the dump again.',
});

/** To a client whose upload was ended before it was accepted. */
export function endedEarly({ issue }: ReplicationStopped): ReplichatError {
  return issue.code === 'INTERRUPTED'
    ? new ReplichatError(
        'ENGINE_UNAVAILABLE',
        'the server is shutting down, or the others have taken it for gone; upload again',
      )
    : new ReplichatError('CONFLICT', 'the upload was cancelled before it was accepted');
}

/** Somebody may wait for its end, also on another server. */
export function busy(where = ''): ReplichatError {
  return new ReplichatError(
    'CONFLICT',
    `a replication is already running for this chat${where}; wait for its end or cancel it with cancelReplication`,
  );
}
