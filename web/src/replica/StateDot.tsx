import type { ReplicaState } from '../api/generated/graphql.js';
import { STATE_WORDS } from './states.js';

export function StateDot({ replica }: { replica?: { status: { state: ReplicaState } } | null }) {
  const state = replica?.status.state;
  const words = state ? STATE_WORDS[state] : 'no replica';
  return (
    <span className={`dot ${state ?? 'NONE'}`} title={words}>
      <span className="hidden">{words}:</span>
    </span>
  );
}
