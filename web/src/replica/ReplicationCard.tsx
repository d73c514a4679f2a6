import { useReactiveVar } from '@apollo/client/react';
import type { Chat } from '../chat/operations.js';
import { PgDumpCommand } from '../start/PgDumpCommand.js';
import { FailureCard } from './FailureCard.js';
import { FileButton } from './FileButton.js';
import { ProgressCard } from './ProgressCard.js';
import { isRunning } from './states.js';
import { uploads } from './uploads.js';
import './replica.css';

/** What the latest replication has to say: how far it is, why it failed, or how to begin one. */
export function ReplicationCard({ chat }: { chat: Chat }) {
  const upload = useReactiveVar(uploads)[chat.id];
  const { replica } = chat;
  const status = replica?.status;
  const running = status !== undefined && isRunning(status.state);
  if (upload?.problem) return <FailureCard chat={chat} upload={upload} />;
  if (running || upload) return <ProgressCard chat={chat} status={running ? status : undefined} upload={upload} />;
  if (status?.error) return <FailureCard chat={chat} />;
  if (replica?.queryable) return null;
  return (
    <section className="card invitation" aria-label="Upload a dump">
      <h2>{status?.state === 'EXPIRED' ? 'The replica has expired' : `Drop a dump of ${chat.database} here`}</h2>
      <p className="muted">
        A plain dump, gzip or zstd of one, or an archive of pg_dump. It becomes a replica of its own; {chat.host} is not
        asked.
      </p>
      <PgDumpCommand connection={chat} />
      <FileButton chatId={chat.id} label="Choose a file" primary />
    </section>
  );
}
