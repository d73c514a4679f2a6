import {
  createCoreRowModel,
  createSortedRowModel,
  rowSortingFeature,
  sortFn_basic,
  tableFeatures,
  useTable,
} from '@tanstack/react-table';
import { useVirtualizer } from '@tanstack/react-virtual';
import { ArrowDown, ArrowUp } from 'lucide-react';
import { useMemo, useRef } from 'react';
import { type Kind, kindOf, type Row, sortValue, textOf } from './values.js';

const ROW_PX = 28;
const MEASURED_ROWS = 100;
const features = tableFeatures({
  rowSortingFeature,
  coreRowModel: createCoreRowModel(),
  sortedRowModel: createSortedRowModel(),
});

interface ResultTableProps {
  columns: readonly string[];
  rows: readonly Row[];
  /** PostgreSQL's, where they are known. */
  types?: readonly string[];
}

/** Only the rows in view are in the page, between two rows that take the place of the others. */
export function ResultTable({ columns, rows, types }: ResultTableProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const kinds = useMemo(
    () => columns.map((column, index) => kindOf(column, rows, types?.[index])),
    [columns, rows, types],
  );
  const widths = useMemo(() => columns.map((column) => widthOf(column, rows)), [columns, rows]);
  const definitions = useMemo(
    () =>
      columns.map((column, index) => ({
        id: `${index}`,
        header: column,
        accessorFn: (row: Row) => sortValue(row[column], kinds[index] as Kind),
        sortFn: sortFn_basic,
        sortUndefined: 'last' as const,
      })),
    [columns, kinds],
  );
  const table = useTable({ features, columns: definitions, data: rows as Row[] });
  const sorted = table.getRowModel().rows;
  const virtualizer = useVirtualizer({
    count: sorted.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
  });
  const items = virtualizer.getVirtualItems();
  const above = items[0]?.start ?? 0;
  const below = virtualizer.getTotalSize() - (items.at(-1)?.end ?? 0);

  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard
    <section ref={scroller} className="result-table" tabIndex={0} aria-label="Rows">
      <table aria-rowcount={rows.length + 1}>
        <colgroup>
          {columns.map((column, index) => (
            <col key={column} style={{ width: `${widths[index]}ch` }} />
          ))}
          <col />
        </colgroup>
        <thead>
          {table.getHeaderGroups().map((group) => (
            <tr key={group.id} aria-rowindex={1}>
              {group.headers.map(({ column, id }, index) => {
                const direction = column.getIsSorted();
                return (
                  <th key={id} scope="col" className={kinds[index]} aria-sort={SORTS[String(direction)]}>
                    <button type="button" onClick={column.getToggleSortingHandler()}>
                      <span className="ellipsis">{columns[index]}</span>
                      {direction === 'asc' && <ArrowUp aria-hidden size={13} />}
                      {direction === 'desc' && <ArrowDown aria-hidden size={13} />}
                    </button>
                  </th>
                );
              })}
              <td aria-hidden />
            </tr>
          ))}
        </thead>
        <tbody>
          {above > 0 && <tr aria-hidden style={{ height: above }} />}
          {items.map(({ index: position }) => {
            const row = sorted[position]?.original ?? {};
            return (
              <tr key={sorted[position]?.id} aria-rowindex={position + 2}>
                {columns.map((column, index) => (
                  <Cell key={column} value={row[column]} kind={kinds[index] as Kind} />
                ))}
                <td aria-hidden />
              </tr>
            );
          })}
          {below > 0 && <tr aria-hidden style={{ height: below }} />}
        </tbody>
      </table>
    </section>
  );
}

const SORTS: Record<string, 'ascending' | 'descending' | undefined> = { asc: 'ascending', desc: 'descending' };

function Cell({ value, kind }: { value: unknown; kind: Kind }) {
  if (value === null || value === undefined) return <td className={`${kind} null`}>NULL</td>;
  const text = textOf(value);
  return (
    <td className={kind} title={text.length > 20 ? text : undefined}>
      {text}
    </td>
  );
}

/** In characters, by the first rows: a table keeps its columns' widths while it is scrolled. */
function widthOf(column: string, rows: readonly Row[]): number {
  const lengths = rows.slice(0, MEASURED_ROWS).map((row) => textOf(row[column]).length);
  return Math.min(48, Math.max(6, column.length + 2, ...lengths) + 3);
}
