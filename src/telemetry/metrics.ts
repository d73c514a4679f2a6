import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { hasEnded, type ReplicaState, type ReplicationStatus } from '../domain/replica.js';
import type { OperationReport } from '../graphql/operation-report.js';

/** Clients choose the names of operations: what comes after so many different ones is "other". */
const MOST_NAMES = 100;
const LONGEST_NAME = 64;
const OPERATION_SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600];
const REPLICATION_SECONDS = [0.5, 1, 2, 5, 10, 30, 60, 300, 1_800, 7_200];
const LAG_SECONDS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10];

/** What is asked for whenever the metrics are. */
interface Gauged {
  /** How many servers wait for a chat. */
  readonly warmServers: () => number;
  /** The states of those that this instance answers for. */
  readonly replicas: () => readonly ReplicaState[];
}

/** What Prometheus is told of this instance. No label is a chat's or a user's. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #names = new Set<string>();
  /** Chats with a replication that this instance has announced, but not its end. */
  readonly #underWay = new Set<string>();
  readonly #operations: Histogram<'transport' | 'type' | 'name' | 'outcome'>;
  readonly #replications: Histogram<'state'>;
  readonly #restoredBytes: Counter;
  readonly #lag: Histogram;

  constructor({ warmServers, replicas }: Gauged) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    this.#operations = new Histogram({
      name: 'replichat_operation_seconds',
      help: 'GraphQL operations by name, from their arrival to their end; subscriptions as long as they lasted.',
      labelNames: ['transport', 'type', 'name', 'outcome'],
      buckets: OPERATION_SECONDS,
      registers,
    });
    this.#replications = new Histogram({
      name: 'replichat_replication_seconds',
      help: 'Replications by how they ended, from QUEUED to then, the upload included.',
      labelNames: ['state'],
      buckets: REPLICATION_SECONDS,
      registers,
    });
    this.#restoredBytes = new Counter({
      name: 'replichat_restored_bytes_total',
      help: 'Bytes of dumps, unpacked, that have become replicas.',
      registers,
    });
    this.#lag = new Histogram({
      name: 'replichat_event_lag_seconds',
      help: 'From when a status or a message was made to when a subscriber of this instance was told.',
      buckets: LAG_SECONDS,
      registers,
    });
    new Gauge({
      name: 'replichat_replicas',
      help: 'Replications under way and READY replicas that this instance answers for, and no other one.',
      labelNames: ['state'],
      registers,
      collect() {
        for (const state of STATES) this.set({ state }, 0);
        for (const state of replicas()) this.inc({ state });
      },
    });
    new Gauge({
      name: 'replichat_warm_servers',
      help: 'PostgreSQL servers that run and wait for a chat.',
      registers,
      collect() {
        this.set(warmServers());
      },
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  countOperation({ transport, type, name, failed, seconds }: OperationReport): void {
    const labels = { transport, type: type ?? 'invalid', name: this.#boundedName(type && name) };
    this.#operations.observe({ ...labels, outcome: failed ? 'error' : 'ok' }, seconds);
  }

  #boundedName(name: string | undefined): string {
    if (name === undefined) return '';
    if (this.#names.has(name)) return name;
    if (this.#names.size >= MOST_NAMES || name.length > LONGEST_NAME) return 'other';
    this.#names.add(name);
    return name;
  }

  /** A status that this instance has announced. */
  noteStatus(chatId: string, { state, at, acceptedAt, bytesRestored }: ReplicationStatus): void {
    if (!hasEnded(state)) {
      this.#underWay.add(chatId);
      return;
    }
    // What happens to a replica later does not end its replication again.
    if (!this.#underWay.delete(chatId)) return;
    this.#replications.observe({ state }, (at.getTime() - acceptedAt.getTime()) / 1000);
    if (state === 'READY') this.#restoredBytes.inc(bytesRestored);
  }

  noteLag(madeAt: Date): void {
    this.#lag.observe(Math.max(0, Date.now() - madeAt.getTime()) / 1000);
  }
}

const STATES: readonly ReplicaState[] = ['QUEUED', 'STARTING', 'RESTORING', 'READY'];
