import { chatNotFound } from '../domain/chat.js';
import { ReplichatError } from '../domain/errors.js';
import type { Message } from '../domain/message.js';
import { hasEnded, type ReplicationStatus } from '../domain/replica.js';
import type { ChatStore, EventBus, Events } from '../ports.js';
import { insist } from './insist.js';
import { Mailbox } from './mailbox.js';

interface Watch {
  readonly owner: string;
  readonly chatId: string;
  readonly signal: AbortSignal;
}

const UNREAD_MESSAGES = 1000;
/** Of messages that were missed. */
const PAGE = 100;

/**
 * The present snapshot, if there is one, then each newer one, until the replication has ended. Without a
 * replication, or with the sequence number of an ended one as `after`, it waits for the next. Listening has begun
 * when the call resolves. Throws NOT_FOUND.
 */
export async function watchReplication(
  store: ChatStore,
  events: EventBus,
  { owner, chatId, signal, after = 0 }: Watch & { readonly after: number | undefined },
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
  const stored = async () => {
    if (!(await store.chat(owner, chatId))) throw chatNotFound(chatId);
    const replica = await store.replica(owner, chatId);
    // What has been watched is gone.
    if (!replica && last > after) mailbox.end();
    return replica ? [replica.status] : [];
  };
  mailbox.onClose(events.subscribe('removed', chatId, () => mailbox.end()));
  return follow('replication', chatId, events, mailbox, stored, deliver);
}

/** Every message from now on, until the chat is deleted. Listening has begun when the call resolves. Throws NOT_FOUND. */
export async function watchMessages(
  store: ChatStore,
  events: EventBus,
  { owner, chatId, signal }: Watch,
): Promise<AsyncIterableIterator<Message>> {
  const mailbox = new Mailbox<Message>({ signal, capacity: UNREAD_MESSAGES, overflow: tooSlow });
  const delivered = new Set<string>();
  const deliver = (message: Message) => {
    if (delivered.has(message.id)) return;
    delivered.add(message.id);
    if (delivered.size > UNREAD_MESSAGES) delivered.delete(delivered.values().next().value as string);
    mailbox.push(message);
  };
  let start: number | undefined;
  const stored = async () => {
    if (start !== undefined) return missed(start);
    const page = await store.messages(owner, chatId, { limit: 1, fromEnd: true });
    if (!page) throw chatNotFound(chatId);
    start = page.items[0]?.position ?? 0;
    return [];
  };
  /** From the newest page back to one that has been delivered in full. */
  const missed = async (after: number) => {
    const found: Message[] = [];
    for (let before: number | undefined; found.length <= UNREAD_MESSAGES; ) {
      const page = await store.messages(owner, chatId, {
        limit: PAGE,
        fromEnd: true,
        after,
        ...(before && { before }),
      });
      if (!page) throw chatNotFound(chatId);
      const fresh = page.items.filter(({ node }) => !delivered.has(node.id));
      if (fresh.length === 0) break;
      found.unshift(...fresh.map(({ node }) => node));
      before = page.items[0]?.position;
    }
    return found;
  };
  const removed = events.subscribe('removed', chatId, ({ chatDeleted }) => {
    if (chatDeleted) mailbox.end();
  });
  mailbox.onClose(removed);
  return follow('message', chatId, events, mailbox, stored, deliver);
}

/**
 * Delivers what is stored, then the events that came meanwhile, then each as it comes; all of it again when events may
 * have been missed. Resolves with the mailbox when that has begun, and throws what the first reading throws.
 */
async function follow<K extends keyof Events>(
  kind: K,
  chatId: string,
  events: EventBus,
  mailbox: Mailbox<Events[K]>,
  stored: () => Promise<readonly Events[K][]>,
  deliver: (event: Events[K]) => void,
): Promise<AsyncIterableIterator<Events[K]>> {
  let reading: Promise<void> | undefined;
  const early: Events[K][] = [];
  const hear = (event: Events[K]) => void (reading ? early.push(event) : deliver(event));
  const read = () => {
    const now = (reading ?? Promise.resolve())
      .catch(() => {})
      .then(async () => {
        for (const event of [...(await stored()), ...early.splice(0)]) deliver(event);
        if (reading === now) reading = undefined;
      });
    reading = now;
    return now;
  };
  mailbox.onClose(events.subscribe(kind, chatId, hear));
  mailbox.onClose(events.onMissed(() => void insist(read).catch((error) => endWith(mailbox, error))));
  try {
    await read();
    return mailbox;
  } catch (error) {
    mailbox.end();
    throw error;
  }
}

/** Of what is gone there is nothing to tell. */
function endWith<T>(mailbox: Mailbox<T>, error: unknown): void {
  if (error instanceof ReplichatError && error.code === 'NOT_FOUND') mailbox.end();
  else mailbox.fail(error as Error);
}

function tooSlow(): ReplichatError {
  return new ReplichatError(
    'QUOTA_EXCEEDED',
    `more than ${UNREAD_MESSAGES} messages were left unread; subscribe again, and read what was missed in Chat.messages`,
    { quota: 'unread messages' },
  );
}
