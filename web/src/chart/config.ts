import type { ChartConfiguration, ChartDataset, Scale } from 'chart.js';
import { type Row, textOf } from '../results/values.js';
import type { Choice, Column } from './choose.js';
import { timeAxis } from './time-axis.js';

export interface Colors {
  readonly text: string;
  readonly line: string;
  readonly surface: string;
  readonly series: readonly string[];
}

/** Bars beyond these are thinner than a pixel or two. */
export const MOST_BARS = 200;
const TICK_PX = 90;

type Config = ChartConfiguration<'bar' | 'line' | 'scatter', { x: number; y: number }[] | (number | null)[], string>;

export function chartConfig(choice: Choice, columns: readonly Column[], rows: readonly Row[], colors: Colors): Config {
  const { type, x, y } = choice;
  const isTime = columns.find(({ name }) => name === x)?.kind === 'time';
  const isLabelled = type === 'bar';
  const drawn = isLabelled ? rows.slice(0, MOST_BARS) : rows;
  const labels = isLabelled
    ? drawn.map((row, index) => (x === undefined ? `${index + 1}` : labelOf(row[x], isTime)))
    : [];
  const datasets = y.map((column, index) => ({
    label: column,
    data: isLabelled ? drawn.map((row) => numberOf(row[column])) : pointsOf(drawn, x, column, isTime),
    ...styleOf(choice, colors.series[index % colors.series.length] as string, drawn.length),
  })) as ChartDataset<'bar' | 'line' | 'scatter', { x: number; y: number }[] | (number | null)[]>[];
  const grid = { color: colors.line };
  const ticks = { color: colors.text };
  const title = (text: string) => ({ display: text !== '', text, color: colors.text });
  return {
    type,
    data: { labels, datasets },
    options: {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      normalized: true,
      interaction: { mode: type === 'scatter' ? 'nearest' : 'index', intersect: false },
      scales: {
        x: isLabelled
          ? { grid: { display: false }, ticks: { ...ticks, maxRotation: 50 }, title: title(x ?? '') }
          : {
              type: 'linear',
              grid,
              ticks,
              title: title(x ?? ''),
              ...(isTime && { afterBuildTicks: putTimeTicks, ticks: { ...ticks, callback: labelTimeTick } }),
            },
        y: { grid, ticks, beginAtZero: type === 'bar', title: title(y.length === 1 ? (y[0] ?? '') : '') },
      },
      plugins: {
        legend: { display: y.length > 1, labels: { color: colors.text, boxWidth: 12 } },
        tooltip: { callbacks: isTime && !isLabelled ? { title: ([item]) => timeLabel(item?.parsed.x ?? 0) } : {} },
      },
    },
    plugins: [
      {
        id: 'surface',
        // A picture without background cannot be read on another one.
        beforeDraw: ({ ctx, width, height }) => {
          ctx.fillStyle = colors.surface;
          ctx.fillRect(0, 0, width, height);
        },
      },
    ],
  };
}

function styleOf({ type }: Choice, color: string, points: number) {
  if (type === 'bar') return { backgroundColor: color, borderRadius: 2, maxBarThickness: 48 };
  if (type === 'scatter') return { backgroundColor: `${color}`, pointRadius: points > 1_000 ? 1.5 : 3 };
  return {
    borderColor: color,
    backgroundColor: color,
    borderWidth: 1.8,
    borderJoinStyle: 'round',
    pointRadius: points > 60 ? 0 : 2.5,
    spanGaps: true,
  };
}

function pointsOf(rows: readonly Row[], x: string | undefined, y: string, isTime: boolean): { x: number; y: number }[] {
  return rows
    .map((row, index) => ({
      x: x === undefined ? index + 1 : isTime ? timeOf(row[x]) : (numberOf(row[x]) ?? Number.NaN),
      y: numberOf(row[y]) ?? Number.NaN,
    }))
    .filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y))
    .sort((a, b) => a.x - b.x);
}

function numberOf(value: unknown): number | null {
  const number = value === null || value === undefined || value === '' ? Number.NaN : Number(value);
  return Number.isFinite(number) ? number : null;
}

/** A time without zone is drawn as it is written. */
function timeOf(value: unknown): number {
  const text = textOf(value).replace(' ', 'T');
  return Date.parse(/T.*(?:Z|[+-]\d\d(?::?\d\d)?)$/.test(text) || !text.includes('T') ? text : `${text}Z`);
}

function labelOf(value: unknown, isTime: boolean): string {
  if (value === null || value === undefined) return 'NULL';
  return isTime ? textOf(value).replace(/T00:00:00(?:\+00:00)?$/, '') : textOf(value);
}

function putTimeTicks(scale: Scale): void {
  const { ticks } = timeAxis(scale.min, scale.max, Math.max(2, scale.width / TICK_PX));
  scale.ticks = ticks.map((value) => ({ value }));
}

function labelTimeTick(this: Scale, value: number | string): string {
  return timeAxis(this.min, this.max, Math.max(2, this.width / TICK_PX)).label(Number(value));
}

const timeFormat = new Intl.DateTimeFormat(undefined, { timeZone: 'UTC', dateStyle: 'medium' });
const momentFormat = new Intl.DateTimeFormat(undefined, { timeZone: 'UTC', dateStyle: 'medium', timeStyle: 'medium' });

function timeLabel(time: number): string {
  return (time % 86_400_000 === 0 ? timeFormat : momentFormat).format(time);
}
