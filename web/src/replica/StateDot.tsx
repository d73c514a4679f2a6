import type { ReplicaState } from '../api/generated/graphql.js';

const WORDS: Record<ReplicaState, string> = {
  QUEUED: 'queued',
  STARTING: 'starting',
  RESTORING: 'restoring',
  READY: 'ready',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  EXPIRED: 'expired',
};

export function StateDot({ replica }: { replica?: { status: { state: ReplicaState } } | null }) {
  const state = replica?.status.state;
  const words = state ? WORDS[state] : 'no replica';
  return (
    <span className={`dot ${state ?? 'NONE'}`} title={words}>
      <span className="hidden">{words}:</span>
    </span>
  );
}
