export type ReplicaState = 'QUEUED' | 'STARTING' | 'RESTORING' | 'READY' | 'FAILED' | 'CANCELLED' | 'EXPIRED';
export type RestoreStep = 'SCHEMA' | 'DATA' | 'INDEXES' | 'CONSTRAINTS' | 'FINISHING';

/** What went wrong, and where in the uploaded file. */
export interface RestoreIssue {
  /** SQL_ERROR, CUT_OFF, OWNERSHIP_SKIPPED, ...: stable, for programs. */
  readonly code: string;
  readonly message: string;
  readonly sqlstate?: string;
  /** 1-based line of the uploaded file. */
  readonly line?: number;
  /** The statement, shortened. */
  readonly statement?: string;
  readonly object?: string;
  readonly hint?: string;
  /** How often a warning was given, when more than once; the rest is of the first time. */
  readonly count?: number;
}

/** How far a restore is. Counts only ever rise; totals are those found in the file so far. */
export interface RestoreProgress {
  readonly step: RestoreStep;
  /** Seconds that the rest is thought to take. */
  readonly remainingSeconds: number;
  readonly bytesRestored: number;
  readonly tablesDone: number;
  readonly tablesTotal: number;
  readonly indexesDone: number;
  readonly indexesTotal: number;
  readonly current: readonly string[];
}

/** A snapshot of one replication. `sequence` rises with every change, across the replications of a chat too. */
export interface ReplicationStatus {
  readonly chatId: string;
  readonly sequence: number;
  readonly state: ReplicaState;
  readonly step: RestoreStep | null;
  readonly percent: number;
  readonly bytesReceived: number;
  readonly bytesRestored: number;
  readonly bytesTotal: number | null;
  readonly tablesDone: number;
  readonly tablesTotal: number;
  readonly indexesDone: number;
  readonly indexesTotal: number;
  readonly current: readonly string[];
  readonly etaSeconds: number | null;
  readonly warningCount: number;
  /** The first KEPT_WARNINGS of them, oldest first. */
  readonly warnings: readonly RestoreIssue[];
  readonly error: RestoreIssue | null;
  readonly at: Date;
  /** When it was accepted: the percentage is the share of the time since then in what it is thought to be in all. */
  readonly acceptedAt: Date;
}

export type ReplicationEvent =
  | { readonly type: 'starting'; readonly activity?: string }
  | { readonly type: 'received'; readonly bytes: number; readonly total: number | null }
  | { readonly type: 'restoring'; readonly progress: RestoreProgress }
  /** The warning at `index` is new, or has been given again. */
  | { readonly type: 'warning'; readonly index: number; readonly issue: RestoreIssue }
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly error: RestoreIssue }
  | { readonly type: 'cancelled'; readonly error: RestoreIssue }
  | { readonly type: 'expired' };

/** Names a replica's server, and which of our servers answers for it. */
export interface ServerReference {
  readonly id: string;
  readonly instance: string;
}

/** A chat's replica: the server in use, if there is one, and the latest replication. */
export interface Replica {
  readonly chatId: string;
  readonly status: ReplicationStatus;
  readonly engine: string;
  /** The PostgreSQL server in use. */
  readonly server: ServerReference | null;
  readonly serverVersion: string | null;
  readonly sizeBytes: number | null;
  readonly createdAt: Date;
  readonly lastUsedAt: Date;
  readonly expiresAt: Date | null;
}

export const KEPT_WARNINGS = 100;

const MAY_FOLLOW: Record<ReplicaState, readonly ReplicaState[]> = {
  QUEUED: ['QUEUED', 'STARTING', 'FAILED', 'CANCELLED'],
  STARTING: ['STARTING', 'RESTORING', 'FAILED', 'CANCELLED'],
  RESTORING: ['RESTORING', 'READY', 'FAILED', 'CANCELLED'],
  READY: ['FAILED', 'EXPIRED'],
  FAILED: [],
  CANCELLED: [],
  EXPIRED: [],
};

/** READY, FAILED, CANCELLED and EXPIRED end a replication. */
export function hasEnded(state: ReplicaState): boolean {
  return state === 'READY' || MAY_FOLLOW[state].length === 0;
}

/** The first snapshot of a replication that has been accepted; `lastSequence` is 0 for the first of its chat. */
export function queued(chatId: string, lastSequence: number, at: Date): ReplicationStatus {
  return {
    chatId,
    sequence: lastSequence + 1,
    state: 'QUEUED',
    step: null,
    percent: 0,
    bytesReceived: 0,
    bytesRestored: 0,
    bytesTotal: null,
    tablesDone: 0,
    tablesTotal: 0,
    indexesDone: 0,
    indexesTotal: 0,
    current: [],
    etaSeconds: null,
    warningCount: 0,
    warnings: [],
    error: null,
    at,
    acceptedAt: at,
  };
}

/** The snapshot after `event`. Throws for an event that cannot happen in the present state. */
export function next(status: ReplicationStatus, event: ReplicationEvent, at: Date): ReplicationStatus {
  const state = stateAfter(status.state, event);
  if (!MAY_FOLLOW[status.state].includes(state)) throw new Error(`${event.type} cannot follow ${status.state}`);
  return { ...status, ...changes(status, event, at), state, sequence: status.sequence + 1, at };
}

function stateAfter(state: ReplicaState, event: ReplicationEvent): ReplicaState {
  if (event.type === 'warning' || event.type === 'received') return state;
  return event.type.toUpperCase() as ReplicaState;
}

function changes(status: ReplicationStatus, event: ReplicationEvent, at: Date): Partial<ReplicationStatus> {
  switch (event.type) {
    case 'starting':
      return { current: event.activity ? [event.activity] : [], percent: Math.max(status.percent, 1) };
    case 'received':
      return {
        bytesReceived: Math.max(status.bytesReceived, event.bytes),
        bytesTotal: event.total ?? status.bytesTotal,
      };
    case 'restoring':
      return restoring(status, event.progress, at);
    case 'warning':
      return {
        warningCount: Math.max(status.warningCount, event.index + 1),
        warnings: event.index < KEPT_WARNINGS ? replaced(status.warnings, event.index, event.issue) : status.warnings,
      };
    case 'ready':
      return { percent: 100, current: [], etaSeconds: null };
    case 'failed':
    case 'cancelled':
      return { error: event.error, current: [], etaSeconds: null };
    case 'expired':
      return { current: [], etaSeconds: null };
  }
}

function replaced<T>(items: readonly T[], index: number, item: T): readonly T[] {
  return [...items.slice(0, index), item, ...items.slice(index + 1)];
}

/** A replication is below 100 until it is READY. */
function restoring(status: ReplicationStatus, progress: RestoreProgress, at: Date): Partial<ReplicationStatus> {
  const { remainingSeconds, ...counts } = progress;
  const elapsed = (at.getTime() - status.acceptedAt.getTime()) / 1000;
  const share = elapsed > 0 ? elapsed / (elapsed + remainingSeconds) : 0;
  const percent = Math.max(status.percent, Math.min(99.9, Math.floor(share * 1000) / 10));
  // Too early to say anything.
  const etaSeconds = elapsed < 1 ? null : Math.ceil(remainingSeconds);
  return { ...counts, percent, etaSeconds };
}
