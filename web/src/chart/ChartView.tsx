import {
  BarController,
  BarElement,
  CategoryScale,
  Chart,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
  ScatterController,
  Tooltip,
} from 'chart.js';
import { ChartColumn, ChartLine, ChartScatter, Send } from 'lucide-react';
import { useEffect, useId, useMemo, useRef, useState } from 'react';
import { usePostMessage } from '../conversation/use-post-message.js';
import type { Row } from '../results/values.js';
import { useColorChange } from '../shell/theme.js';
import { formatCount } from '../ui/format.js';
import { ProblemNotice } from '../ui/ProblemNotice.js';
import { type ChartType, type Choice, type Column, choose } from './choose.js';
import { type Colors, chartConfig, MOST_BARS } from './config.js';
import './chart.css';

Chart.register(
  BarController,
  BarElement,
  CategoryScale,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
  ScatterController,
  Tooltip,
);

const TYPES: readonly (readonly [ChartType, string, typeof ChartColumn])[] = [
  ['bar', 'Bars', ChartColumn],
  ['line', 'Line', ChartLine],
  ['scatter', 'Points', ChartScatter],
];

interface ChartViewProps {
  chatId: string;
  columns: readonly Column[];
  rows: readonly Row[];
}

export default function ChartView({ chatId, columns, rows }: ChartViewProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [choice, setChoice] = useState(() => choose(columns) as Choice);
  const colorChanges = useColorChange();

  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are read from the page
  useEffect(() => {
    const { current: element } = canvas;
    if (!element) return;
    const chart = new Chart(element, chartConfig(choice, columns, rows, colorsOf(element)));
    return () => chart.destroy();
  }, [choice, columns, rows, colorChanges]);

  const alt = describe(choice, rows.length);
  return (
    <figure className="chart">
      <ChartControls columns={columns} choice={choice} onChoice={setChoice} />
      <div className="canvas">
        <canvas ref={canvas} role="img" aria-label={alt} />
      </div>
      <figcaption>
        <span className="muted grow">
          {choice.type === 'bar' && rows.length > MOST_BARS && `The first ${formatCount(MOST_BARS)} rows`}
        </span>
        <PostButton chatId={chatId} alt={alt} picture={() => canvas.current?.toDataURL('image/png')} />
      </figcaption>
    </figure>
  );
}

interface ControlsProps {
  columns: readonly Column[];
  choice: Choice;
  onChoice: (choice: Choice) => void;
}

function ChartControls({ columns, choice, onChoice }: ControlsProps) {
  const group = useId();
  const numbers = useMemo(() => columns.filter(({ kind }) => kind === 'number'), [columns]);
  const toggle = (name: string) => {
    const y = choice.y.includes(name) ? choice.y.filter((other) => other !== name) : [...choice.y, name];
    if (y.length > 0) onChoice({ ...choice, y });
  };
  return (
    <div className="chart-controls">
      <fieldset className="kinds">
        <legend className="hidden">Kind of chart</legend>
        {TYPES.map(([type, label, Icon]) => (
          <label key={type}>
            <input
              type="radio"
              name={group}
              checked={choice.type === type}
              onChange={() => onChoice({ ...choice, type })}
            />
            <span>
              <Icon aria-hidden size={14} /> {label}
            </span>
          </label>
        ))}
      </fieldset>
      <label className="inline">
        <span className="muted">over</span>
        <select
          value={choice.x ?? ''}
          onChange={(event) => onChoice({ ...choice, x: event.target.value === '' ? undefined : event.target.value })}
        >
          <option value="">row number</option>
          {columns.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      {numbers.length > 1 && (
        <fieldset className="kinds series">
          <legend className="hidden">Columns that are drawn</legend>
          {numbers.map(({ name }) => (
            <label key={name}>
              <input type="checkbox" checked={choice.y.includes(name)} onChange={() => toggle(name)} />
              <span>{name}</span>
            </label>
          ))}
        </fieldset>
      )}
    </div>
  );
}

function PostButton({ chatId, alt, picture }: { chatId: string; alt: string; picture: () => string | undefined }) {
  const { post, posting, problem } = usePostMessage(chatId);
  const send = () => {
    const url = picture();
    if (url) void post({ image: { url, alt } });
  };
  return (
    <>
      <ProblemNotice problem={problem} />
      <button type="button" disabled={posting} onClick={send}>
        <Send aria-hidden size={14} />
        Post the picture
      </button>
    </>
  );
}

function describe({ type, x, y }: Choice, rows: number): string {
  const kind = { bar: 'Bar chart', line: 'Line chart', scatter: 'Scatter chart' }[type];
  return `${kind} of ${y.join(', ')} over ${x ?? 'the row number'}, ${formatCount(rows)} rows`;
}

/** A canvas knows nothing of style sheets: an element shows what their colours come to. */
function colorsOf(element: HTMLElement): Colors {
  const probe = document.createElement('span');
  element.parentElement?.append(probe);
  const resolve = (name: string) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const series = [1, 2, 3, 4, 5, 6].map((number) => resolve(`--series-${number}`));
  const colors = { text: resolve('--muted'), line: resolve('--line'), surface: resolve('--surface'), series };
  probe.remove();
  return colors;
}
