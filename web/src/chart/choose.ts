import { type Kind, kindOf, type Row } from '../results/values.js';

export type ChartType = 'bar' | 'line' | 'scatter';

export interface Column {
  readonly name: string;
  readonly kind: Kind;
}

/** What is drawn: each of `y` over `x`. */
export interface Choice {
  readonly type: ChartType;
  /** A column; undefined for the numbers of the rows. */
  readonly x: string | undefined;
  readonly y: readonly string[];
}

/** More than these are no longer told apart. */
const MOST_SERIES = 6;

export function columnsOf(columns: readonly string[], rows: readonly Row[], types?: readonly string[]): Column[] {
  return columns.map((name, index) => ({ name, kind: kindOf(name, rows, types?.[index]) }));
}

/** The chart that these columns ask for; undefined where there are no numbers to draw. */
export function choose(columns: readonly Column[]): Choice | undefined {
  const numbers = columns.filter(({ kind }) => kind === 'number').map(({ name }) => name);
  const time = columns.find(({ kind }) => kind === 'time');
  const label = columns.find(({ kind }) => kind === 'text' || kind === 'boolean');
  // Keys are numbers, but nobody wants to see how large they are.
  const measures = numbers.filter((name) => !/(^|_)id$/i.test(name));
  const y = (measures.length > 0 ? measures : numbers).slice(0, MOST_SERIES);
  if (y.length === 0) return undefined;
  if (time) return { type: 'line', x: time.name, y };
  if (label) return { type: 'bar', x: label.name, y };
  const [x, ...others] = numbers;
  if (others.length === 0) return { type: 'bar', x: undefined, y };
  // Years and the like are the axis of a bar chart; other pairs of numbers may be related.
  if (x && /year|month|week|day|hour/i.test(x)) return { type: 'bar', x, y: others.slice(0, MOST_SERIES) };
  return { type: 'scatter', x, y: others.slice(0, 1) };
}
