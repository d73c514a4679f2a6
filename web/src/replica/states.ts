import type { ReplicaState } from '../api/generated/graphql.js';

export const STATE_WORDS: Record<ReplicaState, string> = {
  QUEUED: 'queued',
  STARTING: 'starting',
  RESTORING: 'restoring',
  READY: 'ready',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  EXPIRED: 'expired',
};

export function isRunning(state: ReplicaState): boolean {
  return state === 'QUEUED' || state === 'STARTING' || state === 'RESTORING';
}
