import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { skipNothing } from './lexing.js';

/** A statement as psql sends it, and the rows of a COPY after it. */
export interface Sent {
  readonly query: Buffer;
  rows: Buffer | undefined;
}

const NEXT_FILE = 'END OF ONE SCRIPT';
const NOT_RESTRICTED = 'psql runs commands';
const DEADLINE_MS = 60_000;

/** False, with a line that says why, on a laptop without psql; an error where CI installs it (REQUIRE_DOCKER=1). */
export async function psqlAvailable(): Promise<boolean> {
  const child = spawn('psql', ['--version'], { stdio: 'ignore' });
  const found = await once(child, 'exit').then(
    ([code]) => code === 0,
    () => false,
  );
  if (found) return true;
  if (process.env.REQUIRE_DOCKER === '1') throw new Error('REQUIRE_DOCKER=1, but psql is not on the PATH');
  process.stderr.write('skipping what needs psql: it is not on the PATH\n');
  return false;
}

/**
 * What psql sends of each of the scripts, to a server that says yes to everything. No command of psql is run: `\restrict`
 * keeps it from them, also where a script's mutation has let one out of its string. `isCopyIn` stands for the grammar.
 */
export async function sentByPsql(scripts: readonly Buffer[], isCopyIn: (query: Buffer) => boolean): Promise<Sent[][]> {
  for (const script of scripts) if (script.includes('`')) throw new Error('a backtick in a script could run a program');
  const folder = await mkdtemp(join(tmpdir(), 'psql-'));
  const recorder = new Recorder(isCopyIn);
  const server = createServer((socket) => recorder.serve(socket));
  try {
    server.listen(join(folder, '.s.PGSQL.5432'));
    await once(server, 'listening');
    const args = ['--no-psqlrc', '--quiet', '--host', folder, '--port=5432', '--username=u', '--dbname=d'];
    args.push('--command', '\\restrict key', '--command', `\\echo ${NOT_RESTRICTED}`);
    for (const [at, script] of scripts.entries()) {
      await writeFile(join(folder, String(at)), script);
      args.push('--file', join(folder, String(at)), '--command', NEXT_FILE);
    }
    await runPsql(args, folder);
    return recorder.scripts;
  } finally {
    server.close();
    await rm(folder, { recursive: true });
  }
}

async function runPsql(args: string[], folder: string): Promise<void> {
  const child = spawn('psql', args, {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder },
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: DEADLINE_MS,
    killSignal: 'SIGKILL',
  });
  const [output, [, signal]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  if (signal) throw new Error(`psql ended with ${signal}`);
  if (output.includes(NOT_RESTRICTED)) throw new Error('this psql knows no \\restrict: scripts could run programs');
}

/** Just enough of a PostgreSQL server (manual, 53.7), and what it has heard. */
class Recorder {
  readonly scripts: Sent[][] = [];
  #current: Sent[] = [];

  constructor(private readonly isCopyIn: (query: Buffer) => boolean) {}

  serve(socket: Socket): void {
    let pending: Buffer = Buffer.alloc(0);
    let greeted = false;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      for (;;) {
        const head = greeted ? 1 : 0;
        if (pending.length < head + 4) return;
        const end = head + pending.readUInt32BE(head);
        if (pending.length < end) return;
        const body = pending.subarray(head + 4, end);
        if (greeted) this.#answer(socket, String.fromCharCode(pending[0] as number), body);
        else greeted = greet(socket, body);
        pending = pending.subarray(end);
      }
    });
  }

  #answer(socket: Socket, type: string, body: Buffer): void {
    const last = this.#current.at(-1);
    if (type === 'Q') this.#query(socket, Buffer.from(body.subarray(0, -1)));
    else if (type === 'd' && last) last.rows = Buffer.concat([last.rows ?? Buffer.alloc(0), body]);
    else if (type === 'c' || type === 'f') complete(socket);
    else if (type === 'X') socket.end();
  }

  #query(socket: Socket, query: Buffer): void {
    const said = query.toString('latin1');
    if (said === NEXT_FILE) {
      this.scripts.push(this.#current);
      this.#current = [];
      setStandardStrings(socket, 'on');
      complete(socket);
      return;
    }
    const copies = this.isCopyIn(query);
    this.#current.push({ query, rows: copies ? Buffer.alloc(0) : undefined });
    const [, strings] = STANDARD_STRINGS.exec(said.slice(skipNothing(query, 0))) ?? [];
    if (strings) setStandardStrings(socket, strings);
    if (copies) socket.write(message('G', Buffer.from([0, 0, 0])));
    else complete(socket);
  }
}

const STANDARD_STRINGS = /^SET standard_conforming_strings = (on|off);$/;

/** False when the client has asked for encryption, and asks again. */
function greet(socket: Socket, body: Buffer): boolean {
  if (body.readUInt32BE(0) !== 196608) {
    socket.write('N');
    return false;
  }
  socket.write(message('R', Buffer.alloc(4)));
  for (const setting of ['server_version\x0015.0\0', 'client_encoding\0UTF8\0', 'server_encoding\0UTF8\0']) {
    socket.write(message('S', Buffer.from(setting)));
  }
  setStandardStrings(socket, 'on');
  socket.write(message('Z', Buffer.from('I')));
  return true;
}

function setStandardStrings(socket: Socket, to: string): void {
  socket.write(message('S', Buffer.from(`standard_conforming_strings\0${to}\0`)));
}

function complete(socket: Socket): void {
  socket.write(Buffer.concat([message('C', Buffer.from('OK\0')), message('Z', Buffer.from('I'))]));
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}
