import { useReactiveVar } from '@apollo/client/react';
import { Pencil } from 'lucide-react';
import { memo, useState } from 'react';
import { ResultView } from '../results/ResultView.js';
import { SqlText } from '../sql/SqlText.js';
import { CopyButton } from '../ui/CopyButton.js';
import { formatFullMoment, formatMoment } from '../ui/format.js';
import type { Message } from './use-messages.js';
import { results } from './use-run-query.js';

interface MessageProps {
  message: Message;
  chatId: string;
  onEdit: (sql: string) => void;
}

/** Messages never change: what goes on around them is none of their business. */
export const MessageView = memo(function MessageView({ message, chatId, onEdit }: MessageProps) {
  const { role, createdAt, content } = message;
  const who = role === 'USER' ? 'You' : 'Assistant';
  return (
    <article className={`message ${role} ${content.__typename}`} aria-label={`${who}, ${formatMoment(createdAt)}`}>
      <header className="muted">
        <strong>{who}</strong>
        <time dateTime={createdAt} title={formatFullMoment(createdAt)}>
          {formatMoment(createdAt)}
        </time>
        {content.__typename === 'QueryContent' && (
          <span className="actions">
            <CopyButton text={content.sql} label="Copy the SQL" />
            <button
              type="button"
              className="quiet"
              title="Edit"
              aria-label="Edit the SQL"
              onClick={() => onEdit(content.sql)}
            >
              <Pencil aria-hidden size={15} />
            </button>
          </span>
        )}
      </header>
      <Content message={message} chatId={chatId} />
    </article>
  );
});

function Content({ message: { id, content }, chatId }: Pick<MessageProps, 'message' | 'chatId'>) {
  const kept = useReactiveVar(results).get(id);
  switch (content.__typename) {
    case 'TextContent':
      return <p className="text">{content.text}</p>;
    case 'QueryContent':
      return <SqlText sql={content.sql} />;
    case 'TableContent':
      return <ResultView result={kept ?? content} chatId={chatId} />;
    case 'ImageContent':
      return <Picture url={content.url} alt={content.alt} />;
  }
}

/** A picture of another server is loaded on request only: the request tells that server something. */
function Picture({ url, alt }: { url: string; alt: string | null }) {
  const [wanted, setWanted] = useState(url.startsWith('data:'));
  if (wanted)
    return (
      <img className="picture" src={url} alt={alt ?? 'A picture without description'} referrerPolicy="no-referrer" />
    );
  return (
    <p>
      <button type="button" onClick={() => setWanted(true)}>
        Load the picture from {new URL(url).host}
      </button>{' '}
      {alt}
    </p>
  );
}
