import type { EventBus, Events } from '../ports.js';
import { Listeners } from './listeners.js';

/** An EventBus inside one process: publish calls the listeners before it returns. */
export class MemoryEventBus implements EventBus {
  readonly #listeners = new Listeners();

  async publish<K extends keyof Events>(kind: K, chatId: string, event: Events[K]): Promise<void> {
    this.#listeners.tell(kind, chatId, event);
  }

  subscribe<K extends keyof Events>(kind: K, chatId: string, listener: (event: Events[K]) => void): () => void {
    return this.#listeners.add(kind, chatId, listener);
  }

  /** None is. */
  onMissed(): () => void {
    return () => {};
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }
}
