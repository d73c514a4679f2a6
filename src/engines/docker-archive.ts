import type Dockerode from 'dockerode';
import { ReplichatError } from '../domain/errors.js';
import { ExecStream, startExec } from './docker-relay.js';

const ENDED = 'replichat: pg_restore ended with ';
const MISSING = 'replichat: no pg_restore';

/**
 * Runs in the container. Debian's own pg_restore, in front of it in the path, looks for clusters that do not exist here.
 * How it ended is told at once; what it has left of the archive is swallowed, so that nobody writes to a closed pipe.
 */
const CONVERT = `
for bin in /usr/lib/postgresql/*/bin; do PATH=$bin:$PATH; done
command -v pg_restore >/dev/null || { echo '${MISSING}' >&2; cat >/dev/null; exit; }
LC_ALL=C pg_restore --file=-
echo "${ENDED}$?" >&2
exec >&-
cat >/dev/null
`;

/** The script of an archive, by the pg_restore of the container. See ReplicaServer.convertArchive. */
export async function* convertArchive(
  container: Dockerode.Container,
  { image, archive, signal }: { image: string; archive: AsyncGenerator<Buffer, void>; signal: AbortSignal },
): AsyncGenerator<Buffer, void> {
  const exec = await container.exec({
    Cmd: ['bash', '-c', CONVERT],
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    abortSignal: signal,
  });
  const stream = new ExecStream(await startExec(exec, { hijack: true, stdin: true }, signal));
  stream.onStderr = (text) => {
    const failure = failureIn(text, image);
    if (failure) stream.destroy(failure);
  };
  const abort = () => stream.destroy(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  feed(stream, archive).catch((error) => stream.destroy(error));
  try {
    for await (const chunk of stream) yield chunk;
    if (!stream.stderr.includes(`${ENDED}0`)) throw new Error(`the connection to pg_restore broke: ${stream.stderr}`);
  } finally {
    signal.removeEventListener('abort', abort);
    stream.destroy();
  }
}

async function feed(stream: ExecStream, archive: AsyncGenerator<Buffer, void>): Promise<void> {
  for await (const chunk of archive) {
    if (stream.destroyed) return;
    if (!stream.write(chunk)) await drained(stream);
  }
  stream.end();
}

/** Resolves also when the stream is closed. */
function drained(stream: ExecStream): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stream.off('drain', done).off('close', done);
      resolve();
    };
    stream.on('drain', done).on('close', done);
  });
}

function failureIn(stderr: string, image: string): ReplichatError | undefined {
  if (stderr.includes(MISSING)) {
    return unsupported(`the image ${image} has no pg_restore, which it takes to read an archive`, {
      hint: 'Choose another REPLICA_IMAGE, or upload what `pg_restore --file=dump.sql ARCHIVE` writes.',
    });
  }
  const status = new RegExp(`^${ENDED}(\\d+)$`, 'm').exec(stderr)?.[1];
  if (status === undefined || status === '0') return undefined;
  if (status === '137') {
    return unsupported(`pg_restore of ${image} was killed while it read the archive`, {
      hint: 'It may have used up REPLICA_MEMORY.',
    });
  }
  const said = stderr.split('\n').flatMap((line) => /^pg_restore: (?:error: )?(.+)/.exec(line)?.[1] ?? []);
  const reason = said.at(-1) ?? `it ended with exit code ${status}`;
  return unsupported(`pg_restore of ${image} cannot read the archive: ${reason}`, remedyFor(reason));
}

function unsupported(message: string, facts: { hint: string; cutOff?: boolean }): ReplichatError {
  return new ReplichatError('UNSUPPORTED_DUMP', message, facts);
}

function remedyFor(reason: string): { hint: string; cutOff?: boolean } {
  if (/end of file|too short/.test(reason)) return { hint: 'Upload the whole file.', cutOff: true };
  if (reason.startsWith('unsupported version')) {
    return { hint: 'A newer pg_dump made it: name its version in REPLICA_IMAGE, or upload a plain dump.' };
  }
  if (/compress/.test(reason)) {
    return { hint: 'Upload a plain dump, or name an image in REPLICA_IMAGE whose pg_restore can unpack it.' };
  }
  return { hint: 'It may be damaged: see whether `pg_restore --file=/dev/null ARCHIVE` reads it where it is.' };
}
