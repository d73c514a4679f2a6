/** What a task must not share with another at the same time, and whose order the two keep. */
export interface Lock {
  /** A table's name, or EVERYTHING. */
  readonly key: string;
  /** Shared locks of the same key go together. */
  readonly exclusive: boolean;
}

/** A part of the restore that one session carries out. */
export interface Task {
  readonly locks: readonly Lock[];
  /** Only in the first session, which has the script's own state. */
  readonly inFirstSession?: boolean;
  /** Seconds that it is thought to take still. */
  readonly cost: number;
  /** Bytes that it keeps in memory. */
  readonly bytes: number;
  /** So little work that the way to the server and back takes longer: a session takes several of them together. */
  readonly isSmall?: boolean;
  /** Several sessions may work at it: whether there is work for another one now. */
  readonly wantsHelp?: boolean;
}

/** Of tasks that depend on everything before them, or that everything after them depends on. */
export const EVERYTHING = '*';

const MOST_TASKS = 20_000;
const MOST_TOGETHER = 12;
const MOST_BYTES = 48 * 1024 * 1024;
/** How long the ranking of tasks may be out of date; longer when it takes long itself. */
const RANKING_MS = 50;
const RANKING_SHARE = 0.05;

class Node<T extends Task> {
  /** Tasks that have to end before it begins. */
  waitsFor = 0;
  readonly dependents: Node<T>[] = [];
  /** Seconds of the longest chain of tasks that begins when it has ended. */
  behind = 0;
  /** `behind`, and what it took itself when it was ranked. */
  rank = 0;
  /** Sessions that work at it. */
  sessions = 0;

  readonly bytes: number;

  constructor(readonly task: T) {
    this.bytes = task.bytes;
  }
}

/** A session that has nothing to do. */
interface Idle<T extends Task> {
  readonly first: boolean;
  /** It takes no more of what others could do as well. */
  readonly isWorn: () => boolean;
  readonly resolve: (nodes: readonly Node<T>[]) => void;
  readonly reject: (error: unknown) => void;
}

interface Holders<T extends Task> {
  exclusive: Node<T> | undefined;
  readonly shared: Set<Node<T>>;
}

/**
 * Tasks in the file's order, of which each may begin when those before it that it shares a lock with have ended. Of
 * those that may, the one with the longest chain of work behind it comes first. Bounded: `room` waits.
 */
export class Graph<T extends Task> {
  readonly #holders = new Map<string, Holders<T>>();
  /** In the file's order. */
  readonly #nodes = new Set<Node<T>>();
  readonly #ready = new Set<Node<T>>();
  /** Of the ready ones, those that only the first session does. */
  readonly #readyInFirst = new Set<Node<T>>();
  /** Of the ready ones, those that have been ranked: the best is the last. It may hold some that have begun since. */
  #ranked: Node<T>[] = [];
  #unranked: Node<T>[] = [];
  #rankAgainAt = 0;
  /** Those at which several sessions may work, and one does. */
  readonly #shared = new Set<Node<T>>();
  #bytes = 0;
  #complete = false;
  #failure: { readonly error: unknown } | undefined;
  /** Rejects when a task has failed. */
  readonly failed: Promise<never>;
  #reject!: (error: unknown) => void;
  readonly #idle: Idle<T>[] = [];
  #waitingForRoom: (() => void)[] = [];

  constructor(
    private readonly options: {
      /** Called when a task may begin and no session is free. */
      readonly onBacklog: () => void;
      readonly onEnd: (task: T) => void;
    },
  ) {
    this.failed = new Promise((_resolve, reject) => {
      this.#reject = reject;
    });
    this.failed.catch(() => {});
  }

  /** What has been added and has not ended, in the file's order. */
  *pending(): Iterable<{ task: T; running: boolean; behind: number }> {
    for (const { task, sessions, behind } of this.#nodes) yield { task, running: sessions > 0, behind };
  }

  /** Resolves when another task may be added. */
  async room(): Promise<void> {
    while (!this.#failure && (this.#nodes.size >= MOST_TASKS || this.#bytes >= MOST_BYTES)) await this.#change();
    if (this.#failure) throw this.#failure.error;
  }

  /** Resolves when all tasks have ended. */
  async empty(): Promise<void> {
    while (!this.#failure && this.#nodes.size > 0) await this.#change();
    if (this.#failure) throw this.#failure.error;
  }

  add(task: T): void {
    const node = new Node(task);
    for (const { key, exclusive } of task.locks) {
      const holders = this.#holdersOf(key);
      if (exclusive) {
        for (const holder of holders.shared) this.#depend(node, holder);
        if (holders.shared.size === 0 && holders.exclusive) this.#depend(node, holders.exclusive);
        holders.shared.clear();
        holders.exclusive = node;
      } else {
        if (holders.exclusive) this.#depend(node, holders.exclusive);
        holders.shared.add(node);
      }
    }
    this.#nodes.add(node);
    this.#bytes += node.bytes;
    node.rank = task.cost;
    if (node.waitsFor === 0) this.#makeReady(node);
    this.#dispatch();
  }

  /** No more will be added. */
  complete(): void {
    this.#complete = true;
    this.#dispatch();
  }

  /** Everybody who waits is told, and whoever comes later. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#reject(error);
    this.#dispatch();
    this.#changed();
  }

  /**
   * Carries tasks out until there are no more: each session calls it once, and performs small ones at the same time.
   * Rejects when a task has failed, in whichever session. One that is worn ends early, but for the first, which goes on
   * with what only it can do.
   */
  async work(first: boolean, perform: (task: T) => Promise<void>, isWorn = () => false): Promise<void> {
    while (first || !isWorn()) {
      const nodes = await this.#next(first, isWorn);
      if (nodes.length === 0) return;
      const performing = nodes.map(async (node) => {
        await perform(node.task);
        this.#end(node);
      });
      try {
        await Promise.all(performing);
      } catch (error) {
        this.fail(error);
        throw error;
      }
    }
  }

  /** A task has become such that another session could help. */
  reconsider(): void {
    this.#dispatch();
  }

  /** None when there will be no more. */
  #next(first: boolean, isWorn: () => boolean): Promise<readonly Node<T>[]> {
    return new Promise((resolve, reject) => {
      this.#idle.push({ first, isWorn, resolve, reject });
      this.#dispatch();
    });
  }

  #dispatch(): void {
    if (this.#failure) {
      for (const { reject } of this.#idle.splice(0)) reject(this.#failure.error);
      return;
    }
    for (let at = 0; at < this.#idle.length; ) {
      const session = this.#idle[at] as Idle<T>;
      const nodes = this.#beginBest(session);
      if (nodes.length === 0 && !(this.#complete && this.#nodes.size === 0)) {
        at++;
        continue;
      }
      this.#idle.splice(at, 1);
      session.resolve(nodes);
    }
    if (this.#idle.every(({ isWorn }) => isWorn()) && this.#ready.size > this.#readyInFirst.size)
      this.options.onBacklog();
  }

  #beginBest(session: Idle<T>): Node<T>[] {
    const nodes: Node<T>[] = [];
    while (nodes.length < MOST_TOGETHER) {
      const node = this.#best(session);
      if (!node || (nodes.length > 0 && !node.task.isSmall)) break;
      this.#begin(node);
      nodes.push(node);
      if (!node.task.isSmall) break;
    }
    return nodes;
  }

  #begin(node: Node<T>): void {
    node.sessions += 1;
    this.#ready.delete(node);
    this.#readyInFirst.delete(node);
    if (node.task.wantsHelp !== undefined) this.#shared.add(node);
  }

  #makeReady(node: Node<T>): void {
    this.#ready.add(node);
    if (node.task.inFirstSession) this.#readyInFirst.add(node);
    this.#unranked.push(node);
  }

  #best({ first, isWorn }: Idle<T>): Node<T> | undefined {
    if (isWorn()) {
      const [next] = first ? this.#readyInFirst : [];
      return next;
    }
    this.#rankAll();
    const suits = (node: Node<T>) => this.#ready.has(node) && (first || !node.task.inFirstSession);
    while (this.#ranked.length > 0 && !this.#ready.has(this.#ranked.at(-1) as Node<T>)) this.#ranked.pop();
    let best = this.#ranked.findLast(suits);
    for (const node of this.#unranked) {
      if (suits(node) && (!best || node.rank > best.rank)) best = node;
    }
    for (const node of this.#shared) {
      if (node.task.wantsHelp && (!best || node.rank > best.rank)) best = node;
    }
    return best;
  }

  #end(node: Node<T>): void {
    node.sessions -= 1;
    if (node.sessions > 0) return;
    this.#shared.delete(node);
    this.#nodes.delete(node);
    this.#bytes -= node.bytes;
    this.options.onEnd(node.task);
    for (const { key } of node.task.locks) this.#release(key, node);
    for (const dependent of node.dependents) {
      dependent.waitsFor -= 1;
      if (dependent.waitsFor === 0) this.#makeReady(dependent);
    }
    this.#changed();
    this.#dispatch();
  }

  #depend(node: Node<T>, on: Node<T>): void {
    on.dependents.push(node);
    node.waitsFor += 1;
  }

  #holdersOf(key: string): Holders<T> {
    let holders = this.#holders.get(key);
    if (!holders) {
      holders = { exclusive: undefined, shared: new Set() };
      this.#holders.set(key, holders);
    }
    return holders;
  }

  #release(key: string, node: Node<T>): void {
    const holders = this.#holders.get(key);
    if (!holders) return;
    holders.shared.delete(node);
    if (holders.exclusive === node) holders.exclusive = undefined;
    if (!holders.exclusive && holders.shared.size === 0) this.#holders.delete(key);
  }

  /** Backwards through the file, so that what depends on a task has been ranked before it. */
  #rankAll(): void {
    const begun = performance.now();
    if (begun < this.#rankAgainAt) return;
    for (const node of [...this.#nodes].reverse()) {
      let longest = 0;
      for (const dependent of node.dependents) longest = Math.max(longest, dependent.rank);
      node.behind = longest;
      node.rank = node.task.cost + longest;
    }
    this.#ranked = [...this.#ready].sort((a, b) => a.rank - b.rank);
    this.#unranked = [];
    const took = performance.now() - begun;
    this.#rankAgainAt = begun + Math.max(RANKING_MS, took / RANKING_SHARE);
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waitingForRoom.push(resolve);
    });
  }

  #changed(): void {
    for (const resolve of this.#waitingForRoom.splice(0)) resolve();
  }
}
