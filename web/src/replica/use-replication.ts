import { useApolloClient, useSubscription } from '@apollo/client/react';
import { useRef, useState } from 'react';
import { refresh } from '../api/refresh.js';
import { ChatDocument } from '../chat/operations.js';
import { TablesDocument } from '../database/operations.js';
import { WatchReplicationDocument } from './operations.js';
import { isRunning } from './states.js';

/**
 * Follows the replications of a chat, one after the other: the subscription ends with each, and is begun again to wait
 * for the next. Every snapshot goes into the cache, where the queries of the page see it.
 */
export function useReplication(chatId: string): void {
  const client = useApolloClient();
  const [after, setAfter] = useState<number>();
  const latest = useRef<{ sequence: number; state?: string }>({ sequence: 0 });
  const { restart } = useSubscription(WatchReplicationDocument, {
    variables: { chatId, after },
    ignoreResults: true,
    onData: ({ data }) => {
      const status = data.data?.replicationStatus;
      if (!status) return;
      const { sequence, state } = latest.current;
      // The replica itself changes with the state only. Between two subscriptions there may have been a whole replication.
      const changed = status.state !== state || (status.sequence !== sequence && !isRunning(status.state));
      latest.current = status;
      if (changed) void refresh(client, ChatDocument, { id: chatId });
      if (changed && status.state === 'READY') void refresh(client, TablesDocument, { chatId });
    },
    onComplete: () => {
      if (after !== latest.current.sequence) setAfter(latest.current.sequence);
      // Without a word: what was waited with is gone.
      else void refresh(client, ChatDocument, { id: chatId }).then(restart);
    },
    // Of a chat that is gone.
    onError: () => void refresh(client, ChatDocument, { id: chatId }),
  });
}
