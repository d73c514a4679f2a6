import type { Facts } from './facts.js';
import { EVERYTHING, type Lock } from './graph.js';
import { ENTRY_TYPES, type Place } from './place.js';
import type { Statement } from './script.js';

/** Alone: after everything before it and before everything after it. */
export const ALONE: readonly Lock[] = [{ key: EVERYTHING, exclusive: true }];
/** Positions of sequences wait for the rows, which might move them. */
const ALL_ROWS = 'rows';
const EMPTY_SEARCH_PATH = /^SELECT pg_catalog\.set_config\('search_path', '', false\)$/i;

/**
 * Says of each statement of a script, in the file's order, what it must not run beside. Whatever is not proven to be
 * independent of the order runs alone: scripts without pg_dump's comments, what disagrees with them, what comes after a
 * statement that changes the session, what is inside of a transaction.
 */
export class Plan {
  /** Nothing leaves the file's order any more. */
  #inOrder = false;
  #inTransaction = false;
  #emptySearchPath = false;
  /** Tables whose triggers are switched off, as the script names them. */
  readonly #withoutTriggers = new Set<string | undefined>();
  #facts: Facts | undefined;
  /** Triggers, constraints or indexes have come since: what is known of inheritance holds, what is ordered may not. */
  #stale = false;
  #pastData = false;
  /** Tables that have been given rows since the facts were read; undefined when they may be any. */
  #filled: Set<string> | undefined = new Set();

  constructor(private readonly readFacts: () => Promise<Facts>) {}

  /** pg_dump's comments on what it builds after the data: nothing depends on them, and they would keep its order. */
  mayComeLast({ kind, entryType }: Statement): boolean {
    if (this.#inOrder || this.#inTransaction || !this.#emptySearchPath) return false;
    return kind.last ? entryType === 'ACL' : this.#pastData && entryType === 'COMMENT' && kind.comments;
  }

  /** Nothing so far forbids to leave the order from here on. */
  get movesFreely(): boolean {
    return !this.#inOrder && !this.#inTransaction;
  }

  /**
   * Whether the table, which may be loaded out of its order, has no row yet and none but its own COPY brings any. Asked
   * after `locksOf`, once.
   */
  fillsEmpty({ kind: { place } }: Statement): boolean {
    const [facts, filled] = [this.#facts, this.#filled];
    if (place?.of !== 'load' || !facts || !filled) return false;
    const family = [place.table, ...facts.ancestors(place.table)];
    const fills =
      facts.isEmpty(place.table) &&
      facts.descendants(place.table).length === 0 &&
      !family.some((one) => filled.has(one));
    filled.add(place.table);
    return fills;
  }

  async locksOf(statement: Statement, isPgDump: boolean): Promise<readonly Lock[]> {
    const { kind, entryType } = statement;
    const { place } = kind;
    const mayMove =
      place !== undefined &&
      isPgDump &&
      this.movesFreely &&
      this.#emptySearchPath &&
      entryType !== undefined &&
      ENTRY_TYPES[place.of].has(entryType) &&
      !(place.of === 'load' && this.#withoutTriggers.has(kind.object));
    if (!mayMove) {
      this.#note(statement);
      return ALONE;
    }
    if (place.of === 'sequence') return [SHARED, { key: ALL_ROWS, exclusive: true }];
    if (place.of === 'load' && this.#stale) this.#facts = undefined;
    if (!this.#facts) {
      this.#facts = await this.readFacts();
      this.#stale = false;
      this.#filled = new Set();
    }
    if (place.of === 'load' && this.#facts.isOrdered(place.table)) {
      this.#filled = undefined;
      return ALONE;
    }
    if (place.of !== 'load') this.#pastData = this.#stale = true;
    if (place.of === 'refresh') return locksOfRefresh(place.view, this.#facts);
    return locksAt(place, this.#facts);
  }

  /** A statement in its order may change what has been found out. */
  #note({ kind, bytes }: Statement): void {
    if (kind.skip) return;
    // By a trigger, it may fill any other table.
    if (kind.place?.of === 'load') this.#filled = undefined;
    if (kind.session === 'other') this.#inOrder = true;
    if (kind.session === 'begin') this.#inTransaction = true;
    if (kind.session === 'end') this.#inTransaction = false;
    if (kind.session === 'none' && kind.place?.of !== 'load') {
      if (kind.step === 'INDEXES' || kind.step === 'CONSTRAINTS' || kind.comments) this.#stale = true;
      else this.#facts = undefined;
    }
    if (kind.session === 'setting') {
      const text = bytes.toString('latin1');
      if (/search_path/i.test(text)) this.#emptySearchPath = EMPTY_SEARCH_PATH.test(text.trim());
    }
    if (kind.triggers === 'DISABLE') this.#withoutTriggers.add(kind.object);
    if (kind.triggers === 'ENABLE') this.#withoutTriggers.delete(kind.object);
  }
}

const SHARED: Lock = { key: EVERYTHING, exclusive: false };

function locksOfRefresh(view: string, facts: Facts): readonly Lock[] {
  const read = facts.readBy(view);
  if (!read) return ALONE;
  const tables = new Set(read.flatMap((table) => [table, ...facts.descendants(table)]));
  return [SHARED, { key: view, exclusive: true }, ...[...tables].map((key) => ({ key, exclusive: false }))];
}

function locksAt(place: Exclude<Place, { of: 'sequence' | 'refresh' }>, facts: Facts): Lock[] {
  const exclusive = new Set<string>();
  const shared = new Set<string>();
  if (place.of === 'load') {
    exclusive.add(place.table);
  } else {
    for (const table of place.of === 'foreignKey' ? [place.table, place.references] : [place.table]) {
      (place.of === 'index' ? shared : exclusive).add(table);
      if (!('only' in place && place.only)) for (const other of facts.descendants(table)) exclusive.add(other);
      for (const other of facts.ancestors(table)) shared.add(other);
    }
  }
  const locks: Lock[] = [SHARED];
  if (place.of === 'load') locks.push({ key: ALL_ROWS, exclusive: false });
  for (const key of exclusive) locks.push({ key, exclusive: true });
  for (const key of shared) if (!exclusive.has(key)) locks.push({ key, exclusive: false });
  return locks;
}
