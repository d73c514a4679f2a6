import { useMutation } from '@apollo/client/react';
import { Check, X } from 'lucide-react';
import type { ReplicationStatusFieldsFragment, RestoreStep } from '../api/generated/graphql.js';
import type { Chat } from '../chat/operations.js';
import { formatBytes, formatCount, formatPercent, formatSpan } from '../ui/format.js';
import { Issues } from './Issues.js';
import { CancelReplicationDocument } from './operations.js';
import type { Upload } from './uploads.js';

type Status = ReplicationStatusFieldsFragment;

const STEPS: readonly (readonly [RestoreStep, string])[] = [
  ['SCHEMA', 'Schema'],
  ['DATA', 'Data'],
  ['INDEXES', 'Indexes'],
  ['CONSTRAINTS', 'Constraints'],
  ['FINISHING', 'Finishing'],
];

interface ProgressProps {
  chat: Chat;
  /** None before the server has accepted the file. */
  status?: Status;
  /** When it is this tab that sends the file. */
  upload?: Upload;
}

export function ProgressCard({ chat, status, upload }: ProgressProps) {
  const [cancelReplication] = useMutation(CancelReplicationDocument, { variables: { chatId: chat.id } });
  const cancel = async () => {
    // In this order: a file that just ends would be a failure.
    if (status) await cancelReplication().catch(() => {});
    upload?.abort();
  };
  const percent = status?.percent ?? 0;
  return (
    <section className="card progress" aria-label="Replication">
      <header>
        <h2 className="ellipsis">
          {upload ? `Restoring ${upload.file.name}` : `Restoring a dump of ${chat.database}`}
        </h2>
        <button type="button" onClick={cancel}>
          <X aria-hidden size={15} />
          Cancel
        </button>
      </header>
      <Bar label="Replication" percent={percent} />
      <p className="line">
        <strong>{formatPercent(percent)}</strong>
        <span className="muted">{timeLeft(status)}</span>
      </p>
      <ol className="steps">
        {STEPS.map(([step, label], index) => (
          <li key={step} className={stepState(status, index)} aria-current={status?.step === step ? 'step' : undefined}>
            <span className="mark">{stepState(status, index) === 'done' ? <Check aria-hidden size={11} /> : null}</span>
            {label}
          </li>
        ))}
      </ol>
      <UploadLine status={status} upload={upload} />
      <dl className="facts">
        <div className="wide">
          <dt>Now</dt>
          <dd className="ellipsis" title={status?.current.join(', ')}>
            {status?.current.join(', ') || 'waiting'}
          </dd>
        </div>
        <Fact label="Tables" value={ofTotal(status?.tablesDone, status?.tablesTotal)} />
        <Fact label="Indexes" value={ofTotal(status?.indexesDone, status?.indexesTotal)} />
        <Fact label="Restored" value={formatBytes(status?.bytesRestored ?? 0)} />
      </dl>
      {status && status.warnings.length > 0 && <Issues issues={status.warnings} count={status.warningCount} />}
    </section>
  );
}

function UploadLine({ status, upload }: Pick<ProgressProps, 'status' | 'upload'>) {
  const received = status?.bytesReceived ?? 0;
  const total = status?.bytesTotal ?? upload?.file.size;
  if (total === undefined) return <p className="line muted">{formatBytes(received)} have arrived</p>;
  return (
    <div className="upload">
      <Bar label="Upload" percent={total === 0 ? 100 : Math.min(100, (100 * received) / total)} />
      <span className="muted numbers">
        {received < total
          ? `${formatBytes(received)} of ${formatBytes(total)} uploaded`
          : `${formatBytes(total)} uploaded`}
      </span>
    </div>
  );
}

function Bar({ label, percent }: { label: string; percent: number }) {
  return (
    <div
      className="bar"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(percent)}
    >
      <div style={{ transform: `scaleX(${percent / 100})` }} />
    </div>
  );
}

function Fact({ label, value }: { label: string; value: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd className="numbers">{value}</dd>
    </div>
  );
}

function ofTotal(done = 0, total = 0): string {
  return `${formatCount(done)} of ${formatCount(total)}`;
}

function timeLeft(status: Status | undefined): string {
  if (!status || status.state === 'QUEUED') return 'Waiting for the server';
  if (status.state === 'STARTING') return 'Starting PostgreSQL';
  return status.etaSeconds === null ? 'Restoring' : `about ${formatSpan(Math.max(1, status.etaSeconds))} left`;
}

function stepState(status: Status | undefined, index: number): 'done' | 'now' | 'later' {
  const now = STEPS.findIndex(([step]) => step === status?.step);
  if (index < now) return 'done';
  return index === now ? 'now' : 'later';
}
