import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/eventually.js';

/** The parts of the request, in their order; `complete` is what comes after the last one. */
export const PLACES = ['head', 'form', 'beginning', 'middle', 'end', 'complete'] as const;
export type Place = (typeof PLACES)[number];

/** What the client does: close() or a reset; ends only its own half; keeps the connection and says nothing more. */
export const MANNERS = ['leaves', 'resets', 'ends its half', 'falls silent'] as const;
export type Manner = (typeof MANNERS)[number];

export interface Break {
  readonly place: Place;
  /** How much of that part is sent, 0 to 1. */
  readonly share: number;
  readonly manner: Manner;
  /** From the last byte on. */
  readonly afterMs: number;
  /** Without a Content-Length, as programs do; browsers and curl tell it. */
  readonly chunked: boolean;
}

const BOUNDARY = 'replichat-test-boundary';
/** A server looks at so many bytes before it accepts a dump. */
const LOOKED_AT = 1024;
/** In which a plain dump has nothing but its last comment. */
const ENDING = 40;
const PIECE = 64 * 1024;
/** What is given up is given up after UPLOAD_IDLE_TIMEOUT and BODY_TIMEOUT; the rest is for a busy machine. */
const HUNG_UP_WITHIN_MS = 60_000;

/** Sends an upload as far as it goes. Resolves with what the server has said when the connection is closed. */
export async function sendBroken(port: number, chatId: string, file: Buffer, broken: Break): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let received = '';
  // The server may hang up first.
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    received += chunk;
  });
  await once(socket, 'connect');
  const { head, body } = requestOf(chatId, file, broken);
  await write(socket, head);
  for (let from = 0; from < body.length; from += PIECE) {
    const piece = body.subarray(from, from + PIECE);
    await write(socket, broken.chunked ? Buffer.concat([sizeOf(piece), piece, CRLF]) : piece);
  }
  if (broken.chunked && broken.place === 'complete') await write(socket, '0\r\n\r\n');
  await sleep(broken.afterMs);
  await hangUp(socket, broken.manner);
  return received;
}

function requestOf(chatId: string, file: Buffer, { place, share, chunked }: Break): { head: Buffer; body: Buffer } {
  const query = `mutation($input: UploadReplicaInput!) { uploadReplica(input: $input) { status { sequence } } }`;
  const field = (name: string, value: unknown) =>
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${JSON.stringify(value)}\r\n`;
  const form = Buffer.from(
    field('operations', { query, variables: { input: { chatId, file: null } } }) +
      field('map', { file: ['variables.input.file'] }) +
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="dump"\r\n\r\n`,
  );
  const closing = Buffer.from(`\r\n--${BOUNDARY}--\r\n`);
  const parts: Record<Exclude<Place, 'head'>, Buffer> = {
    form,
    beginning: file.subarray(0, LOOKED_AT),
    middle: file.subarray(LOOKED_AT, -ENDING),
    end: Buffer.concat([file.subarray(-ENDING), closing.subarray(0, -2)]),
    complete: closing.subarray(-2),
  };
  const length = Object.values(parts).reduce((sum, part) => sum + part.length, 0);
  const head = Buffer.from(
    `POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=${BOUNDARY}\r\n` +
      `Apollo-Require-Preflight: true\r\n${chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`}\r\n\r\n`,
  );
  const some = (part: Buffer) => part.subarray(0, Math.floor(share * part.length));
  if (place === 'head') return { head: some(head), body: Buffer.alloc(0) };
  const body: Buffer[] = [];
  for (const [name, part] of Object.entries(parts)) {
    body.push(name === place && place !== 'complete' ? some(part) : part);
    if (name === place) break;
  }
  return { head, body: Buffer.concat(body) };
}

const CRLF = Buffer.from('\r\n');

function sizeOf(piece: Buffer): Buffer {
  return Buffer.from(`${piece.length.toString(16)}\r\n`);
}

/** When the kernel has it, or nobody wants it any more. */
async function write(socket: Socket, bytes: Buffer | string): Promise<void> {
  if (socket.destroyed) return;
  const closed = new AbortController();
  const taken = new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
  await Promise.race([taken, once(socket, 'close', { signal: closed.signal }).catch(() => {})]);
  closed.abort();
}

async function hangUp(socket: Socket, manner: Manner): Promise<void> {
  if (manner === 'leaves') socket.destroy();
  if (manner === 'resets') socket.resetAndDestroy();
  if (manner === 'ends its half') socket.end();
  // The server's end is seen as such, and answered in kind.
  if (manner === 'falls silent') socket.once('end', () => socket.end());
  if (socket.readableEnded) socket.end();
  await eventually('the server hangs up', async () => socket.destroyed, HUNG_UP_WITHIN_MS).finally(() =>
    socket.destroy(),
  );
}
