import { context, type Span, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';
import { hasEnded, type ReplicationStatus } from '../domain/replica.js';
import type { EventBus, Events } from '../ports.js';

interface Traced {
  readonly acceptedAt: Date;
  readonly replication: Span;
  readonly name: string;
  readonly step: Span;
}

/** Another bus, whose replications become spans: what is announced is what they are made of. */
export class TracedEventBus implements EventBus {
  readonly #running = new Map<string, Traced>();

  constructor(
    private readonly bus: EventBus,
    private readonly tracer: Tracer,
  ) {}

  publish<K extends keyof Events>(kind: K, chatId: string, event: Events[K]): Promise<void> {
    if (kind === 'replication') this.#note(chatId, event as Events['replication']);
    return this.bus.publish(kind, chatId, event);
  }

  #note(chatId: string, status: ReplicationStatus): void {
    const { state, step, at, acceptedAt } = status;
    const name = [state, state === 'RESTORING' && step].filter(Boolean).join(' ');
    const before = this.#before(chatId, status);
    if (before?.name === name) return;
    before?.step.end(at);
    this.#running.delete(chatId);
    if (!hasEnded(state)) {
      const replication = before?.replication ?? this.tracer.startSpan('replication', { startTime: at });
      const parent = trace.setSpan(context.active(), replication);
      const span = this.tracer.startSpan(name, { startTime: at }, parent);
      this.#running.set(chatId, { acceptedAt, replication, name, step: span });
    } else if (before) end(before.replication, status);
  }

  /** Of an earlier replication, whose end was told elsewhere, nothing stays open. */
  #before(chatId: string, { acceptedAt }: ReplicationStatus): Traced | undefined {
    const before = this.#running.get(chatId);
    if (!before || before.acceptedAt.getTime() === acceptedAt.getTime()) return before;
    before.step.end(acceptedAt);
    before.replication.end(acceptedAt);
    return undefined;
  }

  subscribe<K extends keyof Events>(kind: K, chatId: string, listener: (event: Events[K]) => void): () => void {
    return this.bus.subscribe(kind, chatId, listener);
  }

  onMissed(listener: () => void): () => void {
    return this.bus.onMissed(listener);
  }
}

function end(span: Span, { chatId, state, error, bytesReceived, bytesRestored, at }: ReplicationStatus): void {
  span.setAttributes({
    'replichat.chat': chatId,
    'replichat.state': state,
    'replichat.bytes_received': bytesReceived,
    'replichat.bytes_restored': bytesRestored,
  });
  if (error) span.setAttribute('replichat.error', error.code);
  if (state === 'FAILED') span.setStatus({ code: SpanStatusCode.ERROR });
  span.end(at);
}
