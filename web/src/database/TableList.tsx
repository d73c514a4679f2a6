import { useApolloClient } from '@apollo/client/react';
import { ChevronRight, KeyRound, Play, Table2 } from 'lucide-react';
import { useState } from 'react';
import { useOnReconnect } from '../api/occasions.js';
import { problemOf } from '../api/problem.js';
import { refresh } from '../api/refresh.js';
import type { Chat } from '../chat/operations.js';
import { firstRows } from '../conversation/suggest.js';
import { CopyButton } from '../ui/CopyButton.js';
import { formatBytes, formatCompact, formatCount } from '../ui/format.js';
import { ProblemNotice } from '../ui/ProblemNotice.js';
import { SchemaTextDocument, TablesDocument } from './operations.js';
import { search } from './search.js';
import { type Table, useTables } from './use-tables.js';
import './database.css';

const MOST_SHOWN = 300;

/** Tables with their columns, searchable. */
export function TableList({ chat, onAsk }: { chat: Chat; onAsk: (sql: string) => void }) {
  const client = useApolloClient();
  const { tables, error } = useTables(chat);
  const [text, setText] = useState('');
  useOnReconnect(() => chat.replica?.queryable && refresh(client, TablesDocument, { chatId: chat.id }));
  if (!chat.replica?.queryable) return null;
  const readSchemaText = async () => {
    const { data } = await client.query({
      query: SchemaTextDocument,
      variables: { chatId: chat.id },
      fetchPolicy: 'no-cache',
    });
    return data?.chat?.replica?.schemaText ?? '';
  };
  const found = search(tables, text);
  return (
    <section className="tables" aria-label="Tables">
      <div className="search">
        <input
          type="search"
          aria-label="Search tables and columns"
          placeholder={tables.length === 1 ? 'Search the columns' : `Search ${formatCount(tables.length)} tables`}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <CopyButton text={readSchemaText} label="Copy the schema as text, for a language model" />
      </div>
      {error && <ProblemNotice problem={problemOf(error)} />}
      <ul>
        {found.slice(0, MOST_SHOWN).map((table) => (
          <TableItem key={`${table.schema}.${table.name}`} table={table} search={text} onAsk={onAsk} />
        ))}
      </ul>
      {found.length > MOST_SHOWN && (
        <p className="muted">And {formatCount(found.length - MOST_SHOWN)} more: search for them.</p>
      )}
      {tables.length > 0 && found.length === 0 && <p className="muted">Nothing is called “{text}”.</p>}
    </section>
  );
}

const KINDS: Record<string, string> = {
  VIEW: 'view',
  MATERIALIZED_VIEW: 'mat. view',
  FOREIGN_TABLE: 'foreign',
};

function TableItem({ table, search: text, onAsk }: { table: Table; search: string; onAsk: (sql: string) => void }) {
  const [opened, setOpened] = useState(false);
  const isOpen = opened || text !== '';
  const { schema, name, kind, comment, rowEstimate, sizeBytes, columns } = table;
  return (
    <li>
      <div className="table-line">
        <button
          type="button"
          className="quiet grow"
          aria-expanded={isOpen}
          title={comment ?? undefined}
          onClick={() => setOpened(!opened)}
        >
          <ChevronRight aria-hidden size={14} className={isOpen ? 'turned' : ''} />
          <Table2 aria-hidden size={14} />
          <span className="ellipsis">
            {schema !== 'public' && <span className="muted">{schema}.</span>}
            {name}
          </span>
          <span className="muted numbers">{KINDS[kind] ?? formatCompact(rowEstimate)}</span>
        </button>
        <button
          type="button"
          className="quiet"
          title="Show its rows"
          aria-label={`Ask for the first rows of ${name}`}
          onClick={() => onAsk(firstRows(table).sql)}
        >
          <Play aria-hidden size={13} />
        </button>
      </div>
      {isOpen && (
        <div className="columns">
          {comment && <p className="muted">{comment}</p>}
          <ul>
            {columns.map((column) => (
              <li key={column.name} title={[column.comment, column.enumValues?.join(', ')].filter(Boolean).join(': ')}>
                <span className="ellipsis">{column.name}</span>
                {column.primaryKey && <KeyRound role="img" aria-label="primary key" size={12} />}
                <span className="muted ellipsis type">
                  {column.type}
                  {column.nullable ? '' : ' not null'}
                </span>
              </li>
            ))}
          </ul>
          {sizeBytes > 0 && <p className="muted">{formatBytes(sizeBytes)} on disk</p>}
        </div>
      )}
    </li>
  );
}
