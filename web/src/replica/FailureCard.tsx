import { X } from 'lucide-react';
import { useState } from 'react';
import type { IssueFieldsFragment } from '../api/generated/graphql.js';
import type { Chat } from '../chat/operations.js';
import { SqlText } from '../sql/SqlText.js';
import { formatCount } from '../ui/format.js';
import { Notice } from '../ui/Notice.js';
import { ProblemNotice } from '../ui/ProblemNotice.js';
import { FileButton } from './FileButton.js';
import { Issues } from './Issues.js';
import { forget, type Upload } from './uploads.js';

/** What went wrong, where in the file, and what can be done about it. */
export function FailureCard({ chat, upload }: { chat: Chat; upload?: Upload }) {
  const status = chat.replica?.status;
  const [hidden, setHidden] = useState<number>();
  if (!upload && hidden === status?.sequence) return null;
  const hide = () => {
    forget(chat.id);
    setHidden(status?.sequence);
  };
  // Whoever has cancelled it knows why.
  const issue = upload || status?.state === 'CANCELLED' ? undefined : status?.error;
  return (
    <section className="card failure" aria-label="The replication ended">
      <header>
        <h2>{upload ? `${upload.file.name} was not accepted` : titleOf(chat)}</h2>
        <button type="button" className="quiet" aria-label="Hide" title="Hide" onClick={hide}>
          <X aria-hidden size={15} />
        </button>
      </header>
      {upload && <ProblemNotice problem={upload.problem} />}
      {issue && <Issue issue={issue} />}
      {chat.replica?.queryable && <p>The earlier replica is still there and answers.</p>}
      <div className="buttons">
        <FileButton chatId={chat.id} label="Upload again" primary />
        {issue?.sqlstate && (
          <FileButton chatId={chat.id} label="Upload again, and go on after errors" onError="CONTINUE" />
        )}
      </div>
      {status && !upload && status.warnings.length > 0 && (
        <Issues issues={status.warnings} count={status.warningCount} />
      )}
    </section>
  );
}

function titleOf({ replica }: Chat): string {
  if (replica?.status.state === 'CANCELLED') return 'The replication was cancelled';
  return replica?.status.error?.code === 'INTERRUPTED' ? 'The replication was interrupted' : 'The replication failed';
}

function Issue({ issue }: { issue: IssueFieldsFragment }) {
  const { message, line, statement, sqlstate, object, hint } = issue;
  return (
    <div role="alert">
      <Notice kind="error">
        <p>
          {message}
          {sqlstate && <span className="muted"> ({sqlstate})</span>}
        </p>
        {(line !== null || object) && (
          <p className="muted">
            {line !== null && `Line ${formatCount(line)} of the file`}
            {line !== null && object && ' · '}
            {object}
          </p>
        )}
        {statement && <SqlText sql={statement} />}
        {hint && <p>Hint: {hint}</p>}
      </Notice>
    </div>
  );
}
