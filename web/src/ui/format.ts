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

/** In its largest unit: "3 hours", "45 seconds". */
export function formatSpan(seconds: number): string {
  const [unit, length] = SPANS.find(([, length]) => seconds >= length) ?? SPANS[3];
  const format = new Intl.NumberFormat(undefined, {
    style: 'unit',
    unit,
    unitDisplay: 'long',
    maximumFractionDigits: 0,
  });
  return format.format(Math.max(0, Math.floor(seconds / length)));
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
