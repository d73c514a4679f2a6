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
import { useMemo, useRef, useState } from 'react';
import { Dialog } from '../ui/Dialog.js';
import { type Kind, type Row, sortValue, textOf } from './values.js';

const ROW_PX = 28;
const MEASURED_ROWS = 100;
/** What is longer is cut, and shown as a whole on request. */
const MOST_CHARACTERS = 44;
const features = tableFeatures({
  rowSortingFeature,
  coreRowModel: createCoreRowModel(),
  sortedRowModel: createSortedRowModel(),
});

interface ResultTableProps {
  columns: readonly { readonly name: string; readonly kind: Kind }[];
  rows: readonly Row[];
}

/** Only the rows in view are in the page, between two rows that take the place of the others. */
export function ResultTable({ columns, rows }: ResultTableProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [shown, setShown] = useState<{ name: string; text: string }>();
  const hide = () => setShown(undefined);
  const widths = useMemo(() => columns.map(({ name }) => widthOf(name, rows)), [columns, rows]);
  const definitions = useMemo(
    () =>
      columns.map(({ name, kind }, index) => ({
        id: `${index}`,
        header: name,
        accessorFn: (row: Row) => sortValue(row[name], kind),
        sortFn: sortFn_basic,
        sortUndefined: 'last' as const,
      })),
    [columns],
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
          {columns.map(({ name }, index) => (
            <col key={name} style={{ width: `${widths[index]}ch` }} />
          ))}
          <col />
        </colgroup>
        <thead>
          {table.getHeaderGroups().map((group) => (
            <tr key={group.id} aria-rowindex={1}>
              {group.headers.map(({ column, id }, index) => {
                const direction = column.getIsSorted();
                return (
                  <th key={id} scope="col" data-kind={columns[index]?.kind} aria-sort={SORTS[String(direction)]}>
                    <button type="button" onClick={column.getToggleSortingHandler()}>
                      <span className="ellipsis">{columns[index]?.name}</span>
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
                {columns.map(({ name, kind }) => (
                  <Cell key={name} value={row[name]} kind={kind} onShow={(text) => setShown({ name, text })} />
                ))}
                <td aria-hidden />
              </tr>
            );
          })}
          {below > 0 && <tr aria-hidden style={{ height: below }} />}
        </tbody>
      </table>
      {shown && (
        <Dialog title={shown.name} submit="Close" onSubmit={hide} onCancel={hide}>
          <pre className="whole">{shown.text}</pre>
        </Dialog>
      )}
    </section>
  );
}

const SORTS: Record<string, 'ascending' | 'descending' | undefined> = { asc: 'ascending', desc: 'descending' };

interface CellProps {
  value: unknown;
  kind: Kind;
  onShow: (text: string) => void;
}

function Cell({ value, kind, onShow }: CellProps) {
  if (value === null || value === undefined) {
    return (
      <td data-kind={kind} className="null">
        NULL
      </td>
    );
  }
  const text = textOf(value);
  if (text.length <= MOST_CHARACTERS && !text.includes('\n')) return <td data-kind={kind}>{text}</td>;
  return (
    <td data-kind={kind}>
      <button type="button" className="long" title="Show all of it" onClick={() => onShow(text)}>
        {text.slice(0, 2 * MOST_CHARACTERS)}
      </button>
    </td>
  );
}

/** In characters, by the first rows: a table keeps its columns' widths while it is scrolled. */
function widthOf(column: string, rows: readonly Row[]): number {
  const lengths = rows.slice(0, MEASURED_ROWS).map((row) => textOf(row[column]).length);
  return Math.min(MOST_CHARACTERS, Math.max(6, column.length + 2, ...lengths)) + 4;
}
