import { CopyButton } from '../ui/CopyButton.js';
import type { Connection } from './connection-uri.js';
import { pgDumpCommand } from './pg-dump-command.js';

export function PgDumpCommand({ connection }: { connection: Omit<Connection, 'password'> }) {
  const command = pgDumpCommand(connection);
  return (
    <figure className="command">
      <figcaption>The dump that it takes:</figcaption>
      <code>{command}</code>
      <CopyButton text={command} label="Copy the command" />
    </figure>
  );
}
