import { useApolloClient, useMutation } from '@apollo/client/react';
import { RotateCcw, Trash2 } from 'lucide-react';
import { useEffect, useState } from 'react';
import { type Problem, problemOf } from '../api/problem.js';
import { refresh } from '../api/refresh.js';
import type { Chat } from '../chat/operations.js';
import { ChatDocument } from '../chat/operations.js';
import { TablesDocument } from '../database/operations.js';
import { Dialog } from '../ui/Dialog.js';
import { formatBytes, formatFullMoment, formatSpan } from '../ui/format.js';
import { ProblemNotice } from '../ui/ProblemNotice.js';
import { ConnectionUri } from './ConnectionUri.js';
import { FileButton } from './FileButton.js';
import { Issues } from './Issues.js';
import { DeleteReplicaDocument, ResetReplicaDocument } from './operations.js';
import { StateDot } from './StateDot.js';

export function ReplicaPanel({ chat }: { chat: Chat }) {
  const [dialog, setDialog] = useState<'reset' | 'delete'>();
  const [problem, setProblem] = useState<Problem>();
  const { replica } = chat;
  if (!replica) {
    return (
      <section className="replica-panel" aria-label="Replica">
        <h2>
          <StateDot />
          Replica
        </h2>
        <p className="muted">None yet. A dump makes one: its tables will be listed here.</p>
      </section>
    );
  }
  const { engine, serverVersion, sizeBytes, expiresAt, status, queryable } = replica;
  return (
    <section className="replica-panel" aria-label="Replica">
      <h2>
        <StateDot replica={replica} />
        Replica
      </h2>
      <dl className="facts">
        <Fact
          label="PostgreSQL"
          // "15.18 (Debian 15.18-0+deb12u1)"
          value={<span title={serverVersion ?? undefined}>{serverVersion?.split(' ')[0] ?? '–'}</span>}
        />
        <Fact label="Engine" value={engine} />
        <Fact label="Size" value={sizeBytes === null ? '–' : formatBytes(sizeBytes)} />
        <Fact label="Time left" value={queryable ? <TimeLeft expiresAt={expiresAt} /> : '–'} />
      </dl>
      {queryable && <ConnectionUri chatId={chat.id} />}
      <div className="buttons">
        <FileButton chatId={chat.id} label="Upload" />
        <button type="button" disabled={!queryable} onClick={() => setDialog('reset')}>
          <RotateCcw aria-hidden size={14} />
          Reset
        </button>
        <button type="button" onClick={() => setDialog('delete')}>
          <Trash2 aria-hidden size={14} />
          Delete
        </button>
      </div>
      <ProblemNotice problem={problem} />
      {status.state === 'READY' && status.warningCount > 0 && (
        <Issues issues={status.warnings} count={status.warningCount} />
      )}
      {dialog && <Confirmation chat={chat} what={dialog} onClose={() => setDialog(undefined)} onProblem={setProblem} />}
    </section>
  );
}

function Fact({ label, value }: { label: string; value: React.ReactNode }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd className="ellipsis">{value}</dd>
    </div>
  );
}

/** It counts from the last use. */
function TimeLeft({ expiresAt }: { expiresAt: string | null }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  if (expiresAt === null) return <>for good</>;
  const seconds = (new Date(expiresAt).getTime() - now) / 1_000;
  return <span title={`Until ${formatFullMoment(expiresAt)}, unless it is used`}>{formatSpan(seconds)}</span>;
}

interface ConfirmationProps {
  chat: Chat;
  what: 'reset' | 'delete';
  onClose: () => void;
  onProblem: (problem: Problem | undefined) => void;
}

const QUESTIONS = {
  reset: {
    title: 'Reset the replica?',
    submit: 'Reset',
    text: 'It goes back to what the dump made of it. Queries that run are stopped, and PostgreSQL clients lose their sessions.',
  },
  delete: {
    title: 'Delete the replica?',
    submit: 'Delete the replica',
    text: 'The chat and its messages stay. A replication that runs is cancelled.',
  },
};

function Confirmation({ chat, what, onClose, onProblem }: ConfirmationProps) {
  const client = useApolloClient();
  const variables = { chatId: chat.id };
  const [reset] = useMutation(ResetReplicaDocument, { variables });
  const [remove] = useMutation(DeleteReplicaDocument, { variables });
  const { title, submit, text } = QUESTIONS[what];
  const confirm = async () => {
    onClose();
    onProblem(undefined);
    try {
      await (what === 'reset' ? reset() : remove());
      void refresh(client, ChatDocument, { id: chat.id });
      if (what === 'reset') void refresh(client, TablesDocument, variables);
    } catch (error) {
      onProblem(problemOf(error));
    }
  };
  return (
    <Dialog title={title} submit={submit} danger onSubmit={confirm} onCancel={onClose}>
      <p>{text}</p>
    </Dialog>
  );
}
