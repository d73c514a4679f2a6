const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MONTH = 30.44 * DAY;
const YEAR = 365.25 * DAY;

/** Lengths that people count in. From months on they differ, and the calendar says where the next one begins. */
const STEPS = [1, 5, 15, 30]
  .map((count) => count * SECOND)
  .concat([1, 5, 15, 30].map((count) => count * MINUTE))
  .concat([1, 3, 6, 12].map((count) => count * HOUR))
  .concat([1, 2, 7, 14].map((count) => count * DAY))
  .concat([1, 2, 3, 6].map((count) => count * MONTH))
  .concat([1, 2, 5, 10, 20, 50, 100].map((count) => count * YEAR));

export interface TimeAxis {
  readonly ticks: readonly number[];
  readonly label: (time: number) => string;
}

/** About `wanted` round times between two, in UTC as PostgreSQL's answers are read, and how to write them. */
export function timeAxis(from: number, to: number, wanted: number, locale?: string): TimeAxis {
  const step = STEPS.find((length) => (to - from) / length <= wanted) ?? 500 * YEAR;
  const format = new Intl.DateTimeFormat(locale, { timeZone: 'UTC', ...formatOf(step) });
  return {
    ticks: step < MONTH ? even(from, to, step) : calendar(from, to, step),
    label: (time) => format.format(time),
  };
}

function even(from: number, to: number, step: number): number[] {
  const first = Math.ceil(from / step);
  return Array.from(
    { length: Math.max(0, Math.floor(to / step) - first + 1) },
    (_none, index) => (first + index) * step,
  );
}

function calendar(from: number, to: number, step: number): number[] {
  const months = Math.round(step / MONTH);
  const start = new Date(from);
  const count = start.getUTCFullYear() * 12 + start.getUTCMonth();
  const ticks: number[] = [];
  for (let month = Math.floor(count / months) * months; ticks.length < 100; month += months) {
    const time = Date.UTC(Math.floor(month / 12), month % 12);
    if (time > to) break;
    if (time >= from) ticks.push(time);
  }
  return ticks;
}

function formatOf(step: number): Intl.DateTimeFormatOptions {
  if (step >= YEAR) return { year: 'numeric' };
  if (step >= MONTH) return { year: 'numeric', month: 'short' };
  if (step >= DAY) return { month: 'short', day: 'numeric' };
  return step >= MINUTE ? { hour: '2-digit', minute: '2-digit' } : { timeStyle: 'medium' };
}
