import { Duplex } from 'node:stream';
import type Dockerode from 'dockerode';
import { SOCKET_FOLDER } from './docker-container.js';
import { FrameReader, textOf } from './docker-frames.js';

type Callback = (error?: Error | null) => void;

/**
 * In Perl, which every Debian has: over PostgreSQL's Unix socket. bash can do no more than TCP, where the end of each
 * message waits for the acknowledgement of its beginning (Nagle's algorithm), 40 ms for every small table.
 */
const UNIX_RELAY = `
use strict; use Socket;
my ($left, $ahead) = @ARGV; my $server;
sub opened { syswrite(STDERR, "open\\n") }
if ($ahead) { opened(); my $stdin = ""; vec($stdin, 0, 1) = 1; select($stdin, undef, undef, undef) }
for (;;) {
  socket($server, PF_UNIX, SOCK_STREAM, 0) or die $!;
  last if connect($server, sockaddr_un("${SOCKET_FOLDER}/.s.PGSQL.5432"));
  if ($left-- <= 0) { print STDERR "PostgreSQL does not listen\\n"; exit 1 }
  select(undef, undef, undef, 0.1);
}
opened() unless $ahead;
sub carry {
  my ($from, $to) = @_;
  while (my $read = sysread($from, my $bytes, 131072)) {
    for (my $at = 0; $at < $read;) { $at += syswrite($to, $bytes, $read - $at, $at) || return }
  }
}
my $up = $$;
my $down = fork;
# Its parent may be gone already: then it is process 1, which is PostgreSQL's.
if (!$down) { carry($server, *STDOUT); kill "TERM", $up if getppid == $up; exit }
carry(*STDIN, $server);
kill "TERM", $down;
waitpid $down, 0;
`;

/**
 * Runs in the container: waits for PostgreSQL's port ($1 tenths of a second), says so, and then carries bytes until
 * either side has closed. With $2 the relay of Perl says so at once, and goes to PostgreSQL with the first byte. stdin is
 * kept as descriptor 4 because a background job of bash would read /dev/null.
 */
const RELAY = `
command -v perl >/dev/null && exec perl -e "$3" "$1" "$2"
left=$1
until { exec 3<>/dev/tcp/127.0.0.1/5432; } 2>/dev/null; do
  ((left-- > 0)) || { echo 'PostgreSQL does not listen' >&2; exit 1; }
  sleep 0.1
done
exec 4<&0
echo open >&2
cat <&4 >&3 2>/dev/null & up=$!
cat <&3 4<&- 2>/dev/null & down=$!
wait -n
kill $up $down 2>/dev/null
wait
`;
const OPENED = 'open\n';
const STDERR_KEPT = 2_000;

/**
 * A byte stream to the PostgreSQL in a container that has no network; one that is opened `ahead` may wait long for its
 * first byte, where PostgreSQL would wait a minute for a password. The signal ends the opening, not the stream.
 */
export async function openRelay(
  container: Dockerode.Container,
  { waitMs, ahead, signal }: { waitMs: number; ahead?: boolean; signal: AbortSignal },
): Promise<ExecStream> {
  const exec = await container.exec({
    Cmd: ['bash', '-c', RELAY, 'relay', String(Math.ceil(waitMs / 100)), ahead ? '1' : '', UNIX_RELAY],
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    abortSignal: signal,
  });
  const stream = new ExecStream(await startExec(exec, { hijack: true, stdin: true }, signal));
  const abort = () => stream.destroy(signal.reason);
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  try {
    await stream.opened;
    return stream;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** What a command in the container says; its answer must be short. */
export async function execOutput(
  container: Dockerode.Container,
  command: string[],
  signal: AbortSignal,
): Promise<string> {
  const exec = await container.exec({ Cmd: command, AttachStdout: true, abortSignal: signal });
  const socket = await startExec(exec, { hijack: true }, signal);
  const abort = () => socket.destroy(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return textOf(Buffer.concat(await socket.toArray()));
  } finally {
    signal.removeEventListener('abort', abort);
    socket.destroy();
  }
}

/** The signal ends the request, but no longer what has come of it: a connection that has been switched over. */
export function startExec(
  exec: Dockerode.Exec,
  options: Dockerode.ExecStartOptions,
  signal: AbortSignal,
): Promise<Duplex> {
  return exec.start({ ...options, abortSignal: signal });
}

/** The hijacked connection of a Docker exec: stdin goes out as it is, stdout and stderr come in frames. */
export class ExecStream extends Duplex {
  /** Resolves when the relay has reached PostgreSQL. */
  readonly opened: Promise<void>;
  /** Called with what stderr has said lately, whenever it says more. */
  onStderr: ((text: string) => void) | undefined;
  readonly #frames = new FrameReader();
  #stderr = '';
  #settle!: (error?: Error) => void;

  constructor(private readonly socket: Duplex) {
    super({ allowHalfOpen: false });
    this.opened = new Promise((resolve, reject) => {
      this.#settle = (error) => (error ? reject(error) : resolve());
    });
    this.opened.catch(() => {});
    // Nobody else listens until the stream has been handed over.
    this.on('error', () => {});
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('end', () => this.#finish());
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => {
      if (!socket.readableEnded) this.destroy();
    });
  }

  #receive(chunk: Buffer): void {
    let wanted = true;
    try {
      for (const { stream, payload } of this.#frames.read(chunk)) {
        if (stream === 'stdout') wanted = this.push(payload);
        else this.#note(payload);
      }
    } catch (error) {
      this.destroy(error as Error);
    }
    if (!wanted) this.socket.pause();
  }

  #note(stderr: Buffer): void {
    this.#stderr = (this.#stderr + stderr.toString('latin1')).slice(-STDERR_KEPT);
    if (this.#stderr.includes(OPENED)) this.#settle();
    this.onStderr?.(this.#stderr);
  }

  get stderr(): string {
    return this.#stderr;
  }

  #finish(): void {
    this.#settle(this.#endedEarly());
    this.push(null);
  }

  #endedEarly(): Error {
    return new Error(`the relay into the container ended: ${this.#stderr.trim() || 'without a word'}`);
  }

  override _read(): void {
    this.socket.resume();
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, callback: Callback): void {
    this.socket.write(chunk, encoding, callback);
  }

  override _final(callback: Callback): void {
    this.socket.end();
    callback();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#settle(error ?? this.#endedEarly());
    this.socket.destroy();
    callback(error);
  }
}
