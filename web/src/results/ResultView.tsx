import { ChartColumn, Download } from 'lucide-react';
import { lazy, Suspense, useMemo, useState } from 'react';
import { choose, columnsOf } from '../chart/choose.js';
import type { QueryResult } from '../conversation/use-run-query.js';
import { CopyButton } from '../ui/CopyButton.js';
import { formatCount, formatDuration } from '../ui/format.js';
import { toCsv, toTsv } from './csv.js';
import { ResultTable } from './ResultTable.js';
import type { Row } from './values.js';
import './results.css';

const ChartView = lazy(() => import('../chart/ChartView.js'));

/** Of a message, or, with the types of its columns, of a query that this tab has run. */
export type Result = Pick<QueryResult, 'columns' | 'rows' | 'rowCount' | 'truncated'> & Partial<QueryResult>;

export function ResultView({ result, chatId }: { result: Result; chatId: string }) {
  const { columns, rows, columnTypes } = result;
  const [charted, setCharted] = useState(false);
  const described = useMemo(() => columnsOf(columns, rows, columnTypes), [columns, rows, columnTypes]);
  if (columns.length === 0) return <p className="muted">{summary(result)}</p>;
  const canChart = rows.length > 0 && choose(described) !== undefined;
  return (
    <div className="result">
      <div className="result-line">
        <span className="muted grow">{summary(result)}</span>
        {canChart && (
          <button type="button" className="quiet" aria-expanded={charted} onClick={() => setCharted(!charted)}>
            <ChartColumn aria-hidden size={15} />
            Chart
          </button>
        )}
        <button type="button" className="quiet" title="Save as CSV" onClick={() => saveCsv(columns, rows)}>
          <Download aria-hidden size={15} />
          CSV
        </button>
        <CopyButton text={() => toTsv(columns, rows)} label="Copy the rows" />
      </div>
      <ResultTable columns={described} rows={rows} />
      {charted && (
        <Suspense fallback={<div className="chart-place" />}>
          <ChartView chatId={chatId} columns={described} rows={rows} />
        </Suspense>
      )}
    </div>
  );
}

function summary({ columns, rows, rowCount, truncated, durationMs }: Result): string {
  const what = columns.length > 0 ? rowsShown(rows.length, rowCount, truncated) : changed(rowCount);
  return durationMs === undefined ? what : `${what} · ${formatDuration(durationMs)}`;
}

function rowsShown(shown: number, all: number, truncated: boolean): string {
  const count = `${formatCount(shown)} ${shown === 1 ? 'row' : 'rows'}`;
  if (!truncated) return count;
  return all > shown ? `the first ${count} of ${formatCount(all)}` : `the first ${count}; there are more`;
}

function changed(rows: number): string {
  return `Done; ${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'} changed`;
}

function saveCsv(columns: readonly string[], rows: readonly Row[]): void {
  const url = URL.createObjectURL(new Blob([toCsv(columns, rows)], { type: 'text/csv;charset=utf-8' }));
  Object.assign(document.createElement('a'), { href: url, download: 'result.csv' }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
