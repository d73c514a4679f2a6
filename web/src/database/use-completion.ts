import type { SQLNamespace } from '@codemirror/lang-sql';
import { useMemo } from 'react';
import type { Chat } from '../chat/operations.js';
import { quoteName } from './names.js';
import { useTables } from './use-tables.js';

/** Schemas, tables and columns for the editor. */
export function useCompletion(chat: Chat): SQLNamespace {
  const { tables } = useTables(chat);
  return useMemo(() => {
    const schemas: Record<string, Record<string, SQLNamespace>> = {};
    for (const { schema, name, columns } of tables) {
      const columnOptions = columns.map((column) => ({
        label: column.name,
        apply: quoteName(column.name),
        detail: column.type,
        type: 'property',
      }));
      schemas[schema] = { ...schemas[schema], [name]: columnOptions };
    }
    return schemas;
  }, [tables]);
}
