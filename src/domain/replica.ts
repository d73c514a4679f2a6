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
}

/** How far a restore is. Counts only ever rise; totals are those found in the file so far. */
export interface RestoreProgress {
  readonly step: RestoreStep;
  /** 0 to 1 of the work of the restore. */
  readonly fraction: number;
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
  /** When the restore itself began: what the estimate of the time left is made from. */
  readonly restoringSince: Date | null;
}

export type ReplicationEvent =
  | { readonly type: 'starting'; readonly activity?: string }
  | { readonly type: 'received'; readonly bytes: number; readonly total: number | null }
  | { readonly type: 'restoring'; readonly progress: RestoreProgress }
  | { readonly type: 'warning'; readonly issue: RestoreIssue }
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly error: RestoreIssue }
  | { readonly type: 'cancelled'; readonly error: RestoreIssue }
  | { readonly type: 'expired' };

/** A chat's replica: the server in use, if there is one, and the latest replication. */
export interface Replica {
  readonly chatId: string;
  readonly status: ReplicationStatus;
  readonly engine: string;
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
    restoringSince: null,
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
        warningCount: status.warningCount + 1,
        warnings: status.warnings.length < KEPT_WARNINGS ? [...status.warnings, event.issue] : status.warnings,
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

/** A replication is at 2 % when its server runs, and below 100 until it is READY. */
function restoring(status: ReplicationStatus, progress: RestoreProgress, at: Date): Partial<ReplicationStatus> {
  const { fraction, ...counts } = progress;
  const percent = Math.max(status.percent, Math.min(99.9, Math.floor((2 + 98 * fraction) * 10) / 10));
  const since = status.restoringSince ?? at;
  return { ...counts, percent, restoringSince: since, etaSeconds: etaSeconds(fraction, since, at) };
}

/** Null until there is enough to go by: a second and a twentieth of the work. */
function etaSeconds(fraction: number, since: Date, at: Date): number | null {
  const elapsed = (at.getTime() - since.getTime()) / 1000;
  if (elapsed < 1 || fraction < 0.05) return null;
  return Math.ceil((elapsed * (1 - fraction)) / fraction);
}
