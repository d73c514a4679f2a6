import type { RestoreProgress, RestoreStep } from '../domain/replica.js';
import type { Graph } from './graph.js';
import { type Script, STEPS } from './script.js';
import type { RestoreTask } from './tasks.js';

/** How much the first estimate counts against what is measured, in seconds. */
const CONFIDENCE_SECONDS = 2;
/** What a byte that no task is known for is thought to cost, in seconds: loading it, and its share of the indexes. */
const UNKNOWN_BYTE_SECONDS = 5.5e-8;
/** What is left when the script has run. */
const FINISHING_SECONDS = 0.2;

/**
 * How far a restore is, in time: what has passed against what is left, where every task has its estimate, what runs side
 * by side counts once, and the estimates are corrected by how long the tasks so far have taken.
 */
export class Progress {
  #step: RestoreStep = 'SCHEMA';
  #done = { seconds: 0, indexes: 0, bytes: 0 };
  readonly #loaded = new Set<string>();
  /** Tasks that are left of each step. */
  readonly #busy = STEPS.map(() => 0);
  readonly #begun = performance.now();

  constructor(
    private readonly script: Script,
    private readonly graph: Graph<RestoreTask>,
    private readonly options: {
      /** Sessions that can work at full speed at the same time. */
      readonly parallel: number;
      /** How much of the source has been read, 0 to 1, where that can be known. */
      readonly readShare: () => number | undefined;
    },
  ) {}

  /** True when the step has changed with it. */
  added(task: RestoreTask): boolean {
    this.#count(task, 1);
    return this.#advance();
  }

  /** True when the step has changed with it. */
  ended(task: RestoreTask): boolean {
    this.#count(task, -1);
    this.#done.seconds += task.estimate;
    for (const table of task.tables) this.#loaded.add(table);
    this.#done.indexes += task.indexes;
    this.#done.bytes += task.fileBytes;
    return this.#advance();
  }

  /** Everything of the script has run. */
  finishing(): void {
    this.#step = 'FINISHING';
  }

  snapshot(): RestoreProgress {
    const current: string[] = [];
    let [work, longest, bytes, begun] = [0, 0, this.#done.bytes, 0];
    let known = this.#done.bytes;
    for (const { task, running, behind } of this.graph.pending()) {
      const left = task.cost;
      work += left;
      known += task.fileBytes;
      longest = Math.max(longest, behind + left);
      if (!running) continue;
      bytes += task.bytesDone;
      begun += Math.max(0, task.estimate - left);
      if (task.label) current.push(task.label);
    }
    const elapsed = (performance.now() - this.#begun) / 1000;
    const done = this.#done.seconds + begun;
    const correction = (CONFIDENCE_SECONDS + elapsed * this.options.parallel) / (CONFIDENCE_SECONDS + done);
    const unknown = Math.max(0, this.#scriptBytes - known) * UNKNOWN_BYTE_SECONDS;
    const left = correction * Math.max((work + unknown) / this.options.parallel, longest);
    return {
      step: this.#step,
      remainingSeconds: left + FINISHING_SECONDS,
      bytesRestored: this.#step === 'FINISHING' ? this.script.offset : bytes,
      tablesDone: this.#step === 'FINISHING' ? this.#tables : this.#loaded.size,
      tablesTotal: this.#tables,
      indexesDone: this.#done.indexes,
      indexesTotal: this.script.counts.index,
      current,
    };
  }

  get #tables(): number {
    return Math.max(this.script.counts.table, this.#loaded.size);
  }

  #count({ step }: RestoreTask, change: 1 | -1): void {
    const index = STEPS.indexOf(step);
    this.#busy[index] = (this.#busy[index] ?? 0) + change;
  }

  /** The step of the earliest that is left to do. Steps never go back, so that a script that mixes them still shows progress. */
  #advance(): boolean {
    const first = this.#busy.findIndex((tasks) => tasks > 0);
    if (first <= STEPS.indexOf(this.#step)) return false;
    this.#step = STEPS[first] as RestoreStep;
    return true;
  }

  /** As far as it can be told, of the whole. */
  get #scriptBytes(): number {
    const share = this.options.readShare();
    return share === undefined || share === 0 ? this.script.offset : this.script.offset / share;
  }
}
