import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { ProbeData, ProbeOrder } from './probe.js';

/** Asks the API a small question again and again, from a thread of its own. */
export class ApiProbe {
  /** Rejects when a request fails; never resolves. */
  readonly failed: Promise<never>;
  readonly #worker: Worker;

  constructor(data: ProbeData) {
    this.#worker = new Worker(new URL('./probe.js', import.meta.url), { workerData: data });
    this.failed = new Promise((_resolve, reject) => this.#worker.once('error', reject));
    this.failed.catch(() => {});
  }

  /** What was asked before does not count. */
  begin(): void {
    this.#worker.postMessage('begin' satisfies ProbeOrder);
  }

  /** The milliseconds of each answer since `begin`. */
  async end(): Promise<number[]> {
    this.#worker.postMessage('end' satisfies ProbeOrder);
    const [latencies] = await once(this.#worker, 'message');
    return latencies;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
