import type { EventBus, Events } from '../ports.js';

type Listener = (event: Events[keyof Events]) => void;

/** An EventBus inside one process: publish calls the listeners before it returns. */
export class MemoryEventBus implements EventBus {
  readonly #listeners = new Map<string, Set<Listener>>();

  async publish<K extends keyof Events>(kind: K, chatId: string, event: Events[K]): Promise<void> {
    for (const listener of [...(this.#listeners.get(`${kind}:${chatId}`) ?? [])]) listener(event);
  }

  subscribe<K extends keyof Events>(kind: K, chatId: string, listener: (event: Events[K]) => void): () => void {
    const topic = `${kind}:${chatId}`;
    const listeners = this.#listeners.get(topic) ?? new Set<Listener>();
    this.#listeners.set(topic, listeners);
    // A Set holds a listener once; a wrapper of its own lets the same function listen twice.
    const own: Listener = (event) => listener(event as Events[K]);
    listeners.add(own);
    return () => {
      listeners.delete(own);
      if (listeners.size === 0 && this.#listeners.get(topic) === listeners) this.#listeners.delete(topic);
    };
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }
}
