import { Download } from 'lucide-react';
import type { QueryResult } from '../conversation/use-run-query.js';
import { CopyButton } from '../ui/CopyButton.js';
import { formatCount, formatDuration } from '../ui/format.js';
import { toCsv, toTsv } from './csv.js';
import { ResultTable } from './ResultTable.js';
import type { Row } from './values.js';
import './results.css';

export type Result = Pick<QueryResult, 'columns' | 'rows' | 'rowCount' | 'truncated'> & Partial<QueryResult>;

export function ResultView({ result }: { result: Result; chatId: string }) {
  const { columns, rows } = result;
  return (
    <div className="result">
      <div className="result-line">
        <span className="muted grow">{summary(result)}</span>
        {columns.length > 0 && (
          <>
            <CopyButton text={toTsv(columns, rows)} label="Copy the rows" />
            <button type="button" className="quiet" title="Save as CSV" onClick={() => saveCsv(columns, rows)}>
              <Download aria-hidden size={15} />
              CSV
            </button>
          </>
        )}
      </div>
      {columns.length > 0 && <ResultTable columns={columns} rows={rows} types={result.columnTypes} />}
    </div>
  );
}

function summary({ columns, rows, rowCount, truncated, durationMs }: Result): string {
  const count = formatCount(rows.length);
  const kept =
    rowCount > rows.length
      ? `the first ${count} of ${formatCount(rowCount)} rows`
      : `${count} rows, and there are more`;
  const shown = truncated ? kept : rows.length === 1 ? '1 row' : `${count} rows`;
  const what = columns.length > 0 ? shown : `${formatCount(rowCount)} rows changed`;
  return durationMs === undefined ? what : `${what} · ${formatDuration(durationMs)}`;
}

function saveCsv(columns: readonly string[], rows: readonly Row[]): void {
  const url = URL.createObjectURL(new Blob([toCsv(columns, rows)], { type: 'text/csv;charset=utf-8' }));
  Object.assign(document.createElement('a'), { href: url, download: 'result.csv' }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
