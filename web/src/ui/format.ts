/** Numbers, sizes and times in the reader's own locale. */
const count = new Intl.NumberFormat();
const compact = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 0 });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
const time = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });

const SIZES = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const;
const SPANS = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
] as const;

export function formatCount(value: number): string {
  return count.format(value);
}

export function formatCompact(value: number): string {
  return compact.format(value);
}

export function formatPercent(hundredths: number): string {
  return percent.format(hundredths / 100);
}

export function formatBytes(bytes: number): string {
  const power = Math.min(SIZES.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1000 ** power;
  const format = new Intl.NumberFormat(undefined, {
    style: 'unit',
    unit: SIZES[power],
    maximumFractionDigits: power > 0 && value < 100 ? 1 : 0,
  });
  return format.format(value);
}

/** In its two largest units: "23 hr 59 min", "45 sec". */
export function formatSpan(seconds: number): string {
  let rest = Math.max(0, Math.round(seconds));
  const first = SPANS.findIndex(([, length]) => rest >= length);
  const parts = SPANS.slice(first, first === -1 ? undefined : first + 2).flatMap(([unit, length]) => {
    const value = Math.floor(rest / length);
    rest -= value * length;
    return value > 0 ? [unitFormat(unit).format(value)] : [];
  });
  return parts.length > 0 ? parts.join(' ') : unitFormat('second').format(0);
}

/** In English, as the words around it are. */
function unitFormat(unit: string): Intl.NumberFormat {
  return new Intl.NumberFormat('en', { style: 'unit', unit, unitDisplay: 'short' });
}

export function formatDuration(milliseconds: number): string {
  const [unit, value] = milliseconds < 1_000 ? ['millisecond', milliseconds] : ['second', milliseconds / 1_000];
  const format = new Intl.NumberFormat(undefined, {
    style: 'unit',
    unit: unit as string,
    maximumFractionDigits: value < 10 ? 1 : 0,
  });
  return format.format(value as number);
}

/** Today only the time. */
export function formatMoment(iso: string): string {
  const date = new Date(iso);
  return (date.toDateString() === new Date().toDateString() ? time : moment).format(date);
}

export function formatFullMoment(iso: string): string {
  return moment.format(new Date(iso));
}
