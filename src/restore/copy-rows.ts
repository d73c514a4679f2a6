import { BACKSLASH, CR, DOT, LF } from './bytes.js';

const MARKER_ON_NEW_LINE = Buffer.from('\n\\.');

/**
 * Where among the rows of COPY, from `at` on, the end marker begins, or what may become it; else the end of the bytes.
 * `rowBegins`: at `at`.
 */
export function rowsEnd(bytes: Buffer, at: number, rowBegins: boolean): number {
  const last = bytes.length - 1;
  if (rowBegins && markerLength(bytes, at) !== 0) return at;
  let newline = bytes.indexOf(MARKER_ON_NEW_LINE, at);
  while (newline !== -1 && markerLength(bytes, newline + 1) === 0) {
    newline = bytes.indexOf(MARKER_ON_NEW_LINE, newline + 1);
  }
  if (newline !== -1) return newline + 1;
  return last > at && bytes[last] === BACKSLASH && bytes[last - 1] === LF ? last : bytes.length;
}

/** 0 when no end marker of COPY begins at `at`, infinite when the bytes end before that can be told. */
export function markerLength(bytes: Buffer, at: number): number {
  if (bytes[at] !== BACKSLASH) return 0;
  if (at + 1 < bytes.length && bytes[at + 1] !== DOT) return 0;
  const end = bytes[at + 2] === CR ? at + 3 : at + 2;
  if (end >= bytes.length) return Number.POSITIVE_INFINITY;
  return bytes[end] === LF ? end + 1 - at : 0;
}
