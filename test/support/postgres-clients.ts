import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { promisify } from 'node:util';
import pg from 'pg';

const run = promisify(execFile);
const MOST_OUTPUT = 256 * 1024 * 1024;
const PROGRAMS = ['psql', 'pg_dump'];

/** False, with a line that says why, on a laptop without PostgreSQL's clients; an error where CI installs them. */
export async function clientsAvailable(): Promise<boolean> {
  try {
    for (const program of PROGRAMS) await run(program, ['--version']);
    return true;
  } catch {
    const problem = `${PROGRAMS.join(' or ')} is not on the PATH`;
    if (process.env.REQUIRE_DOCKER === '1') throw new Error(`REQUIRE_DOCKER=1, but ${problem}`);
    process.stderr.write(`skipping what needs PostgreSQL's clients: ${problem}\n`);
    return false;
  }
}

/** Nothing of the tester's own (PGHOST, ~/.pgpass, ~/.psqlrc). */
const ENV = { PATH: process.env.PATH, PGCONNECT_TIMEOUT: '30', PGPASSFILE: '/dev/null', HOME: '/nonexistent' };

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** One of PostgreSQL's own programs, to its end. */
export async function program(name: string, args: string[], env: Record<string, string> = {}): Promise<Ended> {
  try {
    const { stdout, stderr } = await run(name, args, { env: { ...ENV, ...env }, maxBuffer: MOST_OUTPUT });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as Ended;
    return { code, stdout, stderr };
  }
}

/** psql with these commands: rows without decoration. */
export function psql(uri: string, ...commands: string[]): Promise<Ended> {
  return program('psql', psqlArguments(uri, commands));
}

/** One that goes on until the test ends it. */
export function startPsql(uri: string, ...commands: string[]): ChildProcess {
  return spawn('psql', psqlArguments(uri, commands), { env: ENV, stdio: ['pipe', 'pipe', 'pipe'] });
}

function psqlArguments(uri: string, commands: string[]): string[] {
  const options = ['--no-psqlrc', '--no-password', '--tuples-only', '--no-align', '--set=ON_ERROR_STOP=1'];
  return [...options, `--dbname=${uri}`, ...commands.map((command) => `--command=${command}`)];
}

/** What @types/pg leaves out, and the error that the session is lost with. */
type Connected = pg.Client & { readonly processID: number; readonly secretKey: number; readonly lost: Promise<Error> };

/** A session of node-postgres, whose loss is no test's failure by itself. */
export async function connected(connectionString: string): Promise<Connected> {
  const client = new pg.Client({ connectionString });
  const lost = new Promise<Error>((resolve) => client.once('error', resolve));
  client.on('error', () => {});
  await client.connect();
  return Object.assign(client, { lost }) as Connected;
}

/** A client of the test's own, byte by byte. */
export class RawClient {
  readonly received: Buffer[] = [];
  readonly closed: Promise<unknown>;

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk) => this.received.push(chunk));
    socket.on('error', () => {});
    this.closed = once(socket, 'close');
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.received);
  }

  /** The fields of the ErrorResponse that everything received ends with: severity, SQLSTATE, message, hint. */
  get error(): Record<string, string> | undefined {
    const at = this.bytes.lastIndexOf('SFATAL\0') - 5;
    if (at < 0 || this.bytes[at] !== 0x45) return undefined;
    const fields = this.bytes
      .subarray(at + 5)
      .toString()
      .split('\0')
      .filter(Boolean);
    return Object.fromEntries(fields.map((field) => [field[0], field.slice(1)]));
  }

  /** A packet without a type. */
  send(code: number, rest: string | Buffer = ''): void {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(8 + Buffer.byteLength(rest));
    head.writeUInt32BE(code, 4);
    this.socket.write(Buffer.concat([head, Buffer.from(rest)]));
  }

  startup(parameters: Record<string, string>, version = 0x30000): void {
    const texts = Object.entries(parameters).flat();
    this.send(version, `${texts.map((text) => `${text}\0`).join('')}\0`);
  }
}
