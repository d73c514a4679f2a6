import { badInput } from './errors.js';

/** Part of a list in its own order, by positions that never change (Relay's cursor connections). */
export interface PageRequest {
  readonly limit: number;
  /** Take from the end of the range instead of from its beginning. */
  readonly fromEnd: boolean;
  /** Only what comes later in the list than this position. */
  readonly after?: number;
  /** Only what comes earlier in the list than this position. */
  readonly before?: number;
}

export interface Page<T> {
  readonly items: readonly { readonly node: T; readonly position: number }[];
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  readonly totalCount: number;
}

export interface PageArguments {
  first?: number | null;
  after?: string | null;
  last?: number | null;
  before?: string | null;
}

export const LARGEST_PAGE = 500;

/** Throws BAD_USER_INPUT for sizes out of 0..500, first together with last, and cursors that are not ours. */
export function pageRequest(given: PageArguments, byDefault: { limit: number; fromEnd: boolean }): PageRequest {
  const { first, last } = given;
  if (first != null && last != null) throw badInput('last', 'give either first or last, not both');
  checkSize('first', first);
  checkSize('last', last);
  // Whoever only says after goes forwards from there, whatever the default.
  const fromEnd = last != null || (first == null && given.after == null && byDefault.fromEnd);
  return {
    limit: first ?? last ?? byDefault.limit,
    fromEnd,
    ...(given.after != null && { after: positionOf('after', given.after) }),
    ...(given.before != null && { before: positionOf('before', given.before) }),
  };
}

function checkSize(field: string, size: number | null | undefined): void {
  if (size != null && !(size >= 0 && size <= LARGEST_PAGE)) {
    throw badInput(field, `${size} is out of range; give 0 to ${LARGEST_PAGE}`);
  }
}

export function cursorOf(position: number): string {
  return Buffer.from(`p${position}`).toString('base64url');
}

function positionOf(field: string, cursor: string): number {
  const match = /^p(\d{1,15})$/.exec(Buffer.from(cursor, 'base64url').toString());
  if (!match) throw badInput(field, 'is no cursor of this list; give an endCursor or startCursor that it returned');
  return Number(match[1]);
}
