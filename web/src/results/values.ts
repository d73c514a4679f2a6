/** What a column holds, as far as sorting, alignment and charts care. */
export type Kind = 'number' | 'time' | 'boolean' | 'json' | 'text';

export type Row = Record<string, unknown>;

const NUMBER = /^(?:smallint|integer|bigint|numeric|real|double precision|money|oid)\b/;
const TIME = /^(?:date|timestamp)/;
const ISO_TIME = /^\d{4,}-\d\d-\d\d(?:[T ]\d\d:\d\d|$)/;
const NUMERIC = /^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i;
const LOOKED_AT = 200;

/** By PostgreSQL's type where that is known, else by the values. */
export function kindOf(column: string, rows: readonly Row[], type?: string): Kind {
  if (type?.endsWith('[]')) return 'json';
  if (type && NUMBER.test(type)) return 'number';
  if (type && TIME.test(type)) return 'time';
  if (type === 'boolean') return 'boolean';
  if (type?.startsWith('json')) return 'json';
  if (type) return 'text';
  const values = rows.slice(0, LOOKED_AT).flatMap((row) => row[column] ?? []);
  const all = (isSo: (value: unknown) => boolean) => values.length > 0 && values.every(isSo);
  if (all((value) => typeof value === 'number' || (typeof value === 'string' && NUMERIC.test(value)))) return 'number';
  if (all((value) => typeof value === 'string' && ISO_TIME.test(value))) return 'time';
  if (all((value) => typeof value === 'boolean')) return 'boolean';
  return values.some((value) => typeof value === 'object') ? 'json' : 'text';
}

/** As PostgreSQL would write it, so that it can be pasted into a query; NULL is told apart by the caller. */
export function textOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** For sorting; undefined goes last. */
export function sortValue(value: unknown, kind: Kind): number | string | undefined {
  if (value === null || value === undefined) return undefined;
  if (kind === 'number') return Number(value);
  return kind === 'boolean' ? Number(value) : textOf(value);
}
