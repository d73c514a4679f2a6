import type { Table } from './use-tables.js';

/** Tables that have the text in a name or comment of theirs or of a column; then only those of the columns. */
export function search(tables: readonly Table[], text: string): readonly Table[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === '') return tables;
  const has = (...texts: (string | null)[]) => texts.some((candidate) => candidate?.toLowerCase().includes(wanted));
  return tables.flatMap((table) => {
    if (has(`${table.schema}.${table.name}`, table.comment)) return [table];
    const columns = table.columns.filter(({ name, comment }) => has(name, comment));
    return columns.length > 0 ? [{ ...table, columns }] : [];
  });
}
