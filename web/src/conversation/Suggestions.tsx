import { useQuery } from '@apollo/client/react';
import { Play } from 'lucide-react';
import type { Chat } from '../chat/operations.js';
import { TablesDocument } from '../database/operations.js';
import { suggest } from './suggest.js';

/** What an empty conversation may begin with. */
export function Suggestions({ chat, onAsk }: { chat: Chat; onAsk: (sql: string) => void }) {
  const queryable = chat.replica?.queryable ?? false;
  const { data } = useQuery(TablesDocument, { variables: { chatId: chat.id }, skip: !queryable });
  const suggestions = suggest(data?.chat?.replica?.tables ?? []);
  if (!queryable || suggestions.length === 0) return null;
  return (
    <section className="suggestions" aria-label="Suggestions">
      <h2>The replica is ready. Ask it something:</h2>
      <ul>
        {suggestions.map(({ title, sql }) => (
          <li key={title}>
            <button type="button" onClick={() => onAsk(sql)}>
              <Play aria-hidden size={14} />
              <span>{title}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
