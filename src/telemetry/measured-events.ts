import type { EventBus, Events } from '../ports.js';
import type { Metrics } from './metrics.js';

/** Another bus, of which the metrics learn what it carries. */
export class MeasuredEventBus implements EventBus {
  constructor(
    private readonly bus: EventBus,
    private readonly metrics: Metrics,
  ) {}

  publish<K extends keyof Events>(kind: K, chatId: string, event: Events[K]): Promise<void> {
    if (kind === 'replication') this.metrics.noteStatus(chatId, event as Events['replication']);
    return this.bus.publish(kind, chatId, event);
  }

  subscribe<K extends keyof Events>(kind: K, chatId: string, listener: (event: Events[K]) => void): () => void {
    return this.bus.subscribe(kind, chatId, (event) => {
      if ('at' in event) this.metrics.noteLag(event.at);
      if ('createdAt' in event) this.metrics.noteLag(event.createdAt);
      listener(event);
    });
  }

  onMissed(listener: () => void): () => void {
    return this.bus.onMissed(listener);
  }
}
