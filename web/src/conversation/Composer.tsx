import { Play, Send, Square } from 'lucide-react';
import { type KeyboardEvent, lazy, Suspense, useState } from 'react';
import type { QueryAccess } from '../api/generated/graphql.js';
import type { Chat } from '../chat/operations.js';
import { useCompletion } from '../database/use-completion.js';
import { formatCount } from '../ui/format.js';
import { ProblemNotice } from '../ui/ProblemNotice.js';
import type { Draft } from './use-draft.js';
import { usePostMessage } from './use-post-message.js';
import { useRunQuery } from './use-run-query.js';
import '../sql/sql.css';

const SqlEditor = lazy(() => import('../sql/SqlEditor.js'));

const KINDS = [
  ['SQL', 'SQL'],
  ['TEXT', 'Text'],
] as const;
const ROWS = [100, 500, 1_000, 10_000];

interface ComposerProps {
  chat: Chat;
  draft: Draft;
  onDraft: (draft: Draft) => void;
  wantsFocus: boolean;
  onFocus: () => void;
}

export function Composer(props: ComposerProps) {
  const { chat, draft, onDraft } = props;
  return (
    <section className="composer" aria-label="New message">
      <fieldset className="kinds">
        <legend className="hidden">What to send</legend>
        {KINDS.map(([kind, label]) => (
          <label key={kind}>
            <input
              type="radio"
              name="kind"
              checked={draft.kind === kind}
              onChange={() => onDraft({ ...draft, kind })}
            />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
      {draft.kind === 'SQL' ? <SqlComposer {...props} /> : <TextComposer chat={chat} draft={draft} onDraft={onDraft} />}
    </section>
  );
}

function SqlComposer({ chat, draft, onDraft, wantsFocus, onFocus }: ComposerProps) {
  const { run, stop, running, problem, clearProblem } = useRunQuery(chat.id);
  const [access, setAccess] = useState<QueryAccess>('READ_ONLY');
  const [maxRows, setMaxRows] = useState(500);
  const schema = useCompletion(chat);
  const ready = chat.replica?.queryable ?? false;
  const start = (sql: string) => {
    if (ready && !running && sql.trim() !== '') void run(sql, { access, maxRows });
  };
  const change = (text: string) => {
    clearProblem();
    onDraft({ kind: 'SQL', text });
  };
  return (
    <>
      <Suspense fallback={<div className="sql-editor" />}>
        <SqlEditor
          value={draft.text}
          onChange={change}
          onRun={start}
          schema={schema}
          problem={problem}
          wantsFocus={wantsFocus}
          onFocus={onFocus}
        />
      </Suspense>
      <ProblemNotice problem={problem} />
      <div className="buttons">
        <select aria-label="Access" value={access} onChange={(event) => setAccess(event.target.value as QueryAccess)}>
          <option value="READ_ONLY">Read-only</option>
          <option value="READ_WRITE">Read and write</option>
        </select>
        <select aria-label="Rows at most" value={maxRows} onChange={(event) => setMaxRows(Number(event.target.value))}>
          {ROWS.map((rows) => (
            <option key={rows} value={rows}>
              {formatCount(rows)} rows
            </option>
          ))}
        </select>
        <span className="muted grow">{ready ? '' : 'No replica to ask yet.'}</span>
        {running ? (
          <button type="button" onClick={stop}>
            <Square aria-hidden size={14} />
            Stop
          </button>
        ) : (
          <button
            type="button"
            className="primary"
            disabled={!ready}
            title="Ctrl+Enter"
            onClick={() => start(draft.text)}
          >
            <Play aria-hidden size={14} />
            Run
          </button>
        )}
      </div>
    </>
  );
}

function TextComposer({ chat, draft, onDraft }: Pick<ComposerProps, 'chat' | 'draft' | 'onDraft'>) {
  const { post, posting, problem } = usePostMessage(chat.id);
  const send = async () => {
    const { text } = draft;
    if (text.trim() === '' || posting) return;
    if (await post({ text })) onDraft({ kind: 'TEXT', text: '' });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void send();
  };
  return (
    <>
      <textarea
        aria-label="Text"
        rows={4}
        placeholder="A note for this chat (Ctrl+Enter sends it)"
        value={draft.text}
        onChange={(event) => onDraft({ kind: 'TEXT', text: event.target.value })}
        onKeyDown={onKeyDown}
      />
      <ProblemNotice problem={problem} />
      <div className="buttons">
        <span className="grow" />
        <button type="button" className="primary" disabled={posting} title="Ctrl+Enter" onClick={send}>
          <Send aria-hidden size={14} />
          Send
        </button>
      </div>
    </>
  );
}
