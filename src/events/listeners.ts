import type { Events } from '../ports.js';

type Listener = (event: Events[keyof Events]) => void;

/** Who listens to what, inside of this process. */
export class Listeners {
  readonly #byTopic = new Map<string, Set<Listener>>();

  add<K extends keyof Events>(kind: K, chatId: string, listener: (event: Events[K]) => void): () => void {
    const topic = topicOf(kind, chatId);
    const listeners = this.#byTopic.get(topic) ?? new Set<Listener>();
    this.#byTopic.set(topic, listeners);
    // A Set holds a listener once; a wrapper of its own lets the same function listen twice.
    const own: Listener = (event) => listener(event as Events[K]);
    listeners.add(own);
    return () => {
      listeners.delete(own);
      if (listeners.size === 0 && this.#byTopic.get(topic) === listeners) this.#byTopic.delete(topic);
    };
  }

  has(kind: keyof Events, chatId: string): boolean {
    return this.#byTopic.has(topicOf(kind, chatId));
  }

  tell<K extends keyof Events>(kind: K, chatId: string, event: Events[K]): void {
    for (const listener of [...(this.#byTopic.get(topicOf(kind, chatId)) ?? [])]) listener(event);
  }

  clear(): void {
    this.#byTopic.clear();
  }
}

function topicOf(kind: keyof Events, chatId: string): string {
  return `${kind}:${chatId}`;
}
