import type { Replica } from '../domain/replica.js';
import type { ChatStore, EventBus } from '../ports.js';
import type { RunningReplica } from './running.js';

interface Entry {
  readonly running: RunningReplica;
  readonly stopListening: () => void;
}

/** The replicas that are used through this server, each for as long as the store names its server as the one in use. */
export class InUse {
  readonly #entries = new Map<string, Entry>();

  constructor(
    private readonly store: ChatStore,
    private readonly events: EventBus,
    /** It is in use no more: another server has replaced or removed it. */
    private readonly onReplaced: (chatId: string, running: RunningReplica) => void,
  ) {}

  get(chatId: string): RunningReplica | undefined {
    return this.#entries.get(chatId)?.running;
  }

  all(): [chatId: string, running: RunningReplica][] {
    return [...this.#entries].map(([chatId, { running }]) => [chatId, running]);
  }

  /** In the place of an earlier one, which is returned. */
  put(chatId: string, running: RunningReplica): RunningReplica | undefined {
    const earlier = this.get(chatId);
    if (earlier) this.take(chatId, earlier);
    const look = () => void this.#look(chatId, running).catch(() => {});
    const endings = [
      this.events.subscribe('replication', chatId, ({ state }) => state === 'READY' && look()),
      this.events.subscribe('removed', chatId, look),
      this.events.onMissed(look),
    ];
    const stopListening = () => {
      for (const end of endings) end();
    };
    this.#entries.set(chatId, { running, stopListening });
    return earlier;
  }

  /** Whether it was in use; from here on it is not, and nobody else ends it. */
  take(chatId: string, running: RunningReplica): boolean {
    const entry = this.#entries.get(chatId);
    if (entry?.running !== running) return false;
    entry.stopListening();
    return this.#entries.delete(chatId);
  }

  /** Whether the store still names each of them. */
  async look(): Promise<void> {
    await Promise.all(this.all().map(([chatId, running]) => this.#look(chatId, running)));
  }

  async #look(chatId: string, running: RunningReplica): Promise<void> {
    const replica = await storedReplica(this.store, chatId);
    if (replica?.server?.id === running.server.id) return;
    if (this.take(chatId, running)) this.onReplaced(chatId, running);
  }
}

/** Whoever's it is. */
export async function storedReplica(store: ChatStore, chatId: string): Promise<Replica | undefined> {
  const owner = await store.ownerOf(chatId);
  return owner === undefined ? undefined : store.replica(owner, chatId);
}
