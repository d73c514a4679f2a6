import { chatNotFound } from '../domain/chat.js';
import { hasEnded, type ReplicationStatus } from '../domain/replica.js';
import type { ChatStore, EventBus } from '../ports.js';
import { Mailbox } from './mailbox.js';

/**
 * The present snapshot, if there is one, then each newer one, until the replication has ended. Without a
 * replication, or with the sequence number of an ended one as `after`, it waits for the next. Listening has begun
 * when the call resolves. Throws NOT_FOUND.
 */
export async function watchReplication(
  store: ChatStore,
  events: EventBus,
  {
    owner,
    chatId,
    signal,
    after = 0,
  }: { owner: string; chatId: string; signal: AbortSignal; after: number | undefined },
): Promise<AsyncIterableIterator<ReplicationStatus>> {
  const mailbox = new Mailbox<ReplicationStatus>({
    signal,
    // A state or step that a slow reader has not seen yet is kept; of mere progress only the newest.
    replaces: (newer, older) => newer.state === older.state && newer.step === older.step,
    capacity: 1000,
    overflow: () => new Error('more states than a replication has'),
  });
  let last = after;
  const deliver = (status: ReplicationStatus) => {
    if (status.sequence <= last) return;
    last = status.sequence;
    mailbox.push(status);
    if (hasEnded(status.state)) mailbox.end();
  };
  const early: ReplicationStatus[] = [];
  let snapshotRead = false;
  const offStatus = events.subscribe('replication', chatId, (status) =>
    snapshotRead ? deliver(status) : early.push(status),
  );
  mailbox.onClose(offStatus);
  mailbox.onClose(events.subscribe('removed', chatId, () => mailbox.end()));
  try {
    if (!(await store.chat(owner, chatId))) throw chatNotFound(chatId);
    const snapshot = (await store.replica(owner, chatId))?.status;
    snapshotRead = true;
    for (const status of [...(snapshot ? [snapshot] : []), ...early]) deliver(status);
    return mailbox;
  } catch (error) {
    mailbox.end();
    throw error;
  }
}
