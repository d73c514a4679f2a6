import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { GraphQLServerOptions } from '../../src/graphql/server.js';
import { answerOf, eventually, type Shell, startShell, type UploadHandler } from './shell.js';

const shells: Shell[] = [];

async function start(upload: UploadHandler, options?: Partial<GraphQLServerOptions>): Promise<Shell> {
  const shell = await startShell(upload, options);
  shells.push(shell);
  return shell;
}

afterEach(async () => {
  await Promise.all(shells.splice(0).map((shell) => shell.close()));
});

const MB = 1_000_000;
const CONTENT = randomBytes(50 * MB);
const OPERATIONS = {
  query: 'mutation Send($file: Upload!) { upload(file: $file) }',
  variables: { file: null },
};
const ACCEPTED = { data: { upload: 'accepted' } };

/** What became of a file that was read in the background. */
interface Reading {
  stream?: Readable;
  bytes: number;
  sha256?: string;
  error?: Error & { code?: string };
}

/** Accepts the file, answers, and goes on reading. */
function acceptInto(reading: Reading): UploadHandler {
  return async (file) => {
    const stream = (await file).createReadStream();
    reading.stream = stream;
    const hash = createHash('sha256');
    stream.on('data', (chunk: Buffer) => {
      reading.bytes += chunk.length;
      hash.update(chunk);
    });
    stream.once('end', () => {
      reading.sha256 = hash.digest('hex');
    });
    stream.once('error', (error) => {
      reading.error = error;
    });
    return 'accepted';
  };
}

function form(content: Buffer, operations: object = OPERATIONS, map: object = { 0: ['variables.file'] }): FormData {
  const data = new FormData();
  data.append('operations', JSON.stringify(operations));
  data.append('map', JSON.stringify(map));
  data.append('0', new Blob([new Uint8Array(content)]), 'dump.sql');
  return data;
}

function send(shell: Shell, body: FormData, headers = { 'apollo-require-preflight': 'true' }): Promise<Response> {
  return fetch(`${shell.url}/graphql`, { method: 'POST', headers, body });
}

const FIELD = '--B\r\nContent-Disposition: form-data; name=';
const PREAMBLE =
  `${FIELD}"operations"\r\n\r\n${JSON.stringify(OPERATIONS)}\r\n${FIELD}"map"\r\n\r\n{"0":["variables.file"]}\r\n` +
  `${FIELD}"0"; filename="dump.sql"\r\nContent-Type: application/sql\r\n\r\n`;
const END = '\r\n--B--\r\n';

/** A client that decides on every byte itself. */
function open(
  shell: Shell,
  contentLength: number,
  header = 'apollo-require-preflight: 1',
): Socket & { received: string } {
  const socket = Object.assign(connect(shell.port, '127.0.0.1'), { received: '' });
  socket.setEncoding('utf8');
  socket.on('data', (chunk) => {
    socket.received += chunk;
  });
  socket.write(
    `POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\n${header}\r\n` +
      `Content-Length: ${contentLength}\r\n\r\n`,
  );
  return socket;
}

async function curl(shell: Shell, content: Buffer): Promise<{ code: number | null; output: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'replichat-'));
  const file = join(folder, 'dump.sql');
  await writeFile(file, content);
  const fields = [`operations=${JSON.stringify(OPERATIONS)}`, 'map={"0":["variables.file"]}', `0=@${file}`];
  const args = ['-sS', '-H', 'apollo-require-preflight: 1', ...fields.flatMap((field) => ['-F', field])];
  const child = spawn('curl', [...args, `${shell.url}/graphql`], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  await rm(folder, { recursive: true });
  return { code, output };
}

const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex');

describe('a file that is accepted', () => {
  test('reaches the resolver byte for byte, with its name and type', async () => {
    const shell = await start(async (file) => {
      const { filename, mimetype, encoding, createReadStream } = await file;
      return [filename, mimetype, encoding, await text(createReadStream())].join();
    });
    const response = await send(shell, form(Buffer.from('SELECT 1;')));
    expect(await answerOf(response)).toEqual({ data: { upload: 'dump.sql,application/octet-stream,7bit,SELECT 1;' } });
  });

  test('is answered while it is still arriving', async () => {
    const reading: Reading = { bytes: 0 };
    const shell = await start(acceptInto(reading));
    const socket = open(shell, PREAMBLE.length + 8 + END.length);
    socket.write(`${PREAMBLE}half`);
    await eventually('the answer', () => socket.received.includes(JSON.stringify(ACCEPTED)));
    expect(socket.received).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    expect(socket.received).toMatch(/transfer-encoding: chunked/i);
    expect(socket.received).not.toContain('\r\n0\r\n\r\n');
    socket.write(`half${END}`);
    await eventually('the end of the answer', () => socket.received.endsWith('\r\n0\r\n\r\n'));
    expect(reading).toMatchObject({ bytes: 8, sha256: sha256(Buffer.from('halfhalf')) });
    socket.destroy();
  });

  test('arrives whole from fetch, which drops a connection that is answered too early', async () => {
    const reading: Reading = { bytes: 0 };
    const shell = await start(acceptInto(reading));
    const response = await send(shell, form(CONTENT));
    expect(await answerOf(response)).toEqual(ACCEPTED);
    expect(reading).toMatchObject({ bytes: CONTENT.length, sha256: sha256(CONTENT) });
  });

  test('arrives whole from curl', async () => {
    const reading: Reading = { bytes: 0 };
    const shell = await start(acceptInto(reading));
    const { code, output } = await curl(shell, CONTENT);
    expect([code, JSON.parse(output)]).toEqual([0, ACCEPTED]);
    expect(reading).toMatchObject({ bytes: CONTENT.length, sha256: sha256(CONTENT) });
  });

  test('leaves the connection usable for the next request', async () => {
    const shell = await start(acceptInto({ bytes: 0 }));
    const socket = open(shell, PREAMBLE.length + 4 + END.length);
    socket.write(`${PREAMBLE}data${END}GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await eventually('both answers', () => socket.received.includes('"status":"ok"'));
    socket.destroy();
  });

  test('is taken from the socket only as it is read', async () => {
    let startReading = () => {};
    const shell = await start(async (file) => {
      const stream = (await file).createReadStream();
      startReading = () => void stream.resume();
      return 'accepted';
    });
    const socket = open(shell, PREAMBLE.length + CONTENT.length + END.length);
    socket.write(PREAMBLE);
    let sent = false;
    socket.write(CONTENT, () => {
      sent = true;
    });
    socket.write(END);
    await eventually('the answer', () => socket.received.includes('accepted'));
    const { url } = shell;
    for (let i = 0; i < 20; i++) await fetch(`${url}/healthz`);
    expect(sent).toBe(false);
    startReading();
    await eventually('the end of the answer', () => socket.received.endsWith('\r\n0\r\n\r\n'));
    expect(sent).toBe(true);
    socket.destroy();
  });

  test('can be opened once', async () => {
    const shell = await start(async (file) => {
      const { createReadStream } = await file;
      createReadStream().resume();
      createReadStream();
      return 'unreachable';
    });
    const { errors } = await answerOf(send(shell, form(Buffer.from('x'))));
    expect(errors[0]?.extensions.code).toBe('INTERNAL_SERVER_ERROR');
  });
});

describe('a file that nobody wants', () => {
  const refuse: UploadHandler = async () => {
    const { ReplichatError } = await import('../../src/domain/errors.js');
    throw new ReplichatError('CONFLICT', 'A replication is running.');
  };

  test('is discarded, and fetch gets the error', async () => {
    const shell = await start(refuse);
    const { errors } = await answerOf(send(shell, form(CONTENT)));
    expect(errors[0]?.extensions.code).toBe('CONFLICT');
  });

  test('is discarded, and curl gets the error', async () => {
    const shell = await start(refuse);
    const { code, output } = await curl(shell, CONTENT);
    expect([code, JSON.parse(output).errors[0]?.extensions.code]).toEqual([0, 'CONFLICT']);
  });

  test('is discarded when the mutation resolves without opening it', async () => {
    const shell = await start(async (file) => (await file).filename);
    expect(await answerOf(send(shell, form(CONTENT)))).toEqual({ data: { upload: 'dump.sql' } });
  });

  test('is discarded when its reader gives up in the middle', async () => {
    const reading: Reading = { bytes: 0 };
    const shell = await start(acceptInto(reading));
    const sent = send(shell, form(CONTENT));
    await eventually('some bytes', () => reading.bytes > 0);
    reading.stream?.destroy();
    expect(await answerOf(sent)).toEqual(ACCEPTED);
    expect(reading.bytes).toBeLessThan(CONTENT.length);
  });

  test('is discarded for a limited time, then the answer ends with the connection', async () => {
    const shell = await start(refuse, { bodyTimeoutMs: 50 });
    const socket = open(shell, PREAMBLE.length + 8 + END.length);
    socket.write(`${PREAMBLE}half`);
    await once(socket, 'close');
    expect(socket.received).toContain('"code":"CONFLICT"');
    expect(socket.received.endsWith('\r\n0\r\n\r\n')).toBe(true);
  });

  test('is not waited for when the document is wrong', async () => {
    const shell = await start(refuse);
    const body = form(CONTENT, {
      query: 'mutation ($file: Upload!) { nowhere(file: $file) }',
      variables: { file: null },
    });
    const { errors } = await answerOf(send(shell, body));
    expect(errors[0]?.extensions.code).toBe('GRAPHQL_VALIDATION_FAILED');
  });
});

describe('an upload that goes wrong', () => {
  test.each([100, 101])('%i bytes against a limit of 100', async (size) => {
    const reading: Reading = { bytes: 0 };
    const shell = await start(acceptInto(reading), { maxUploadBytes: 100 });
    await (await send(shell, form(randomBytes(size)))).text();
    await eventually('the end', () => reading.sha256 !== undefined || reading.error !== undefined);
    if (size === 100) return expect(reading.bytes).toBe(100);
    expect(reading.error?.code).toBe('PAYLOAD_TOO_LARGE');
    expect(reading.error?.message).toBe(
      'The file is larger than 100 bytes, the limit of this server (MAX_UPLOAD_BYTES).',
    );
    expect(reading.sha256).toBeUndefined();
  });

  test('is refused by its Content-Length before it is sent', async () => {
    const shell = await start(acceptInto({ bytes: 0 }), { maxUploadBytes: 100 });
    const socket = open(shell, 10 * MB);
    await eventually('the answer', () => socket.received.includes('"code":"PAYLOAD_TOO_LARGE"'));
    expect(socket.received).toMatch(/^HTTP\/1.1 413 /);
    expect(socket.received).toContain('(MAX_UPLOAD_BYTES)');
    socket.destroy();
  });

  test('is refused for want of the header against CSRF before it is read', async () => {
    const shell = await start(acceptInto({ bytes: 0 }));
    const socket = open(shell, 10 * MB, 'x-other: 1');
    await eventually('the answer', () => socket.received.includes('"code":"BAD_REQUEST"'));
    expect(socket.received).toMatch(/^HTTP\/1.1 400 /);
    socket.destroy();
  });

  test('an error status does not wait for the rest of the body', async () => {
    const shell = await start(acceptInto({ bytes: 0 }));
    const socket = open(shell, 10 * MB);
    socket.write(PREAMBLE.replace('variables.file', 'variables.nowhere'));
    await eventually('the answer', () => socket.received.includes('"code":"BAD_USER_INPUT"'));
    expect(socket.received).toMatch(/^HTTP\/1.1 400 .*content-length: \d+\r\n/is);
    socket.destroy();
  });

  test('fetch and curl get the error of a large request that is refused unread', async () => {
    const shell = await start(acceptInto({ bytes: 0 }), { maxUploadBytes: 100 });
    const response = await send(shell, form(CONTENT));
    expect([response.status, (await answerOf(response)).errors[0]?.extensions.code]).toEqual([
      413,
      'PAYLOAD_TOO_LARGE',
    ]);
    const { code, output } = await curl(shell, CONTENT);
    expect([code, JSON.parse(output).errors[0]?.extensions.code]).toEqual([0, 'PAYLOAD_TOO_LARGE']);
  });

  test('a client that disconnects leaves an error, never an end', async () => {
    const reading: Reading = { bytes: 0 };
    const shell = await start(acceptInto(reading));
    const socket = open(shell, PREAMBLE.length + 8 + END.length);
    socket.write(`${PREAMBLE}half`);
    await eventually('some bytes', () => reading.bytes > 0);
    socket.destroy();
    await eventually('the error', () => reading.error !== undefined);
    expect(reading.error?.name).toBe('UploadAborted');
    expect(reading.sha256).toBeUndefined();
  });

  test('a client that disconnects before the answer hurts nobody else', async () => {
    let finish = (_answer: string) => {};
    let ended = false;
    const shell = await start(async (file) => {
      const opened = (await file).createReadStream();
      opened.once('error', () => {
        ended = true;
      });
      return new Promise((resolve) => {
        finish = resolve;
      });
    });
    const socket = open(shell, PREAMBLE.length + 8 + END.length);
    socket.write(`${PREAMBLE}half`, () => socket.destroy());
    await eventually('the error', () => ended);
    finish('too late');
    expect((await fetch(`${shell.url}/healthz`)).status).toBe(200);
  });

  test('a client that disconnects before anybody reads leaves the error for the reader', async () => {
    let opened: Readable | undefined;
    const shell = await start(async (file) => {
      opened = (await file).createReadStream();
      return 'accepted';
    });
    const socket = open(shell, PREAMBLE.length + 8 + END.length);
    socket.write(`${PREAMBLE}half`);
    await eventually('the answer', () => socket.received.includes('accepted'));
    socket.destroy();
    await eventually('the error', () => opened?.destroyed === true);
    await expect(text(opened as Readable)).rejects.toMatchObject({ name: 'UploadAborted' });
  });

  test.each([
    ['in the file', `${PREAMBLE}half`],
    ['in the last boundary', `${PREAMBLE}half\r\n--`],
    ['in the header of the file', PREAMBLE.slice(0, -10)],
    ['after map', PREAMBLE.slice(0, PREAMBLE.indexOf('--B\r\nContent-Disposition: form-data; name="0"') + 3)],
  ])('a body that breaks off %s leaves an error, never an end', async (_where, body) => {
    const reading: Reading = { bytes: 0 };
    const shell = await start(async (file) => {
      file.catch((error) => {
        reading.error = error;
      });
      return acceptInto(reading)(file);
    });
    const socket = open(shell, body.length);
    socket.write(body);
    await eventually('the error', () => reading.error !== undefined);
    expect(reading.error?.name).toMatch(/^(UploadAborted|ReplichatError)$/);
    expect(reading.sha256).toBeUndefined();
    await eventually('the end of the answer', () => /\}\n?(\r\n0\r\n\r\n)?$/.test(socket.received));
    socket.destroy();
  });

  test('a client that falls silent is given up, but not while nobody reads', async () => {
    const opened: Readable[] = [];
    const accept: UploadHandler = async (file) => {
      opened.push((await file).createReadStream().on('error', () => {}));
      return 'accepted';
    };
    const shell = await start(accept, { uploadIdleMs: 50 });
    const sockets: Socket[] = [];
    for (const count of [1, 2]) {
      const socket = open(shell, PREAMBLE.length + 8 + END.length);
      sockets.push(socket);
      socket.write(`${PREAMBLE}half`);
      await eventually('the reader', () => opened.length === count);
    }
    const [unread, read] = opened;
    read?.resume();
    await eventually('the error', () => read?.errored != null);
    expect(read?.errored).toMatchObject({ name: 'UploadAborted', message: expect.stringContaining('0.05 s') });
    expect(unread?.errored).toBeNull();
    unread?.resume();
    await eventually('the error', () => unread?.errored != null);
    for (const socket of sockets) socket.destroy();
  });
});

describe('a bad multipart request', () => {
  const file: [string, string] = ['0', 'x'];
  const operations: [string, string] = ['operations', JSON.stringify(OPERATIONS)];
  const map: [string, string] = ['map', '{"0":["variables.file"]}'];

  test.each<[string, [string, string][], RegExp]>([
    ['nothing', [], /"operations" is missing/],
    ['no map', [operations], /"map" is missing/],
    ['no file', [operations, map], /file that "map" names is missing/],
    ['map before operations', [map, operations, file], /"map" has to follow "operations"/],
    ['the file before map', [operations, file, map], /file "0" has to follow the "map"/],
    ['another file', [operations, map, ['1', 'x']], /"map" does not name the file "1"/],
    ['another field', [operations, ['extra', 'x']], /no field "extra"/],
    ['operations that are no JSON', [['operations', '{']], /"operations" is not valid JSON/],
    ['operations in a batch', [['operations', '[]']], /"operations" has to be a JSON object/],
    ['operations over the limit', [['operations', ' '.repeat(10_001)]], /"operations" is larger than 10000 bytes/],
    [
      'two files',
      [operations, ['map', '{"0":["variables.file"],"1":["variables.file"]}']],
      /one request carries one file/,
    ],
    ['no list of paths', [operations, ['map', '{"0":"variables.file"}']], /list of one path/],
    ['a path to nowhere', [operations, ['map', '{"0":["variables.nowhere"]}']], /"variables.nowhere"/],
    ['a path to no variable', [operations, ['map', '{"0":["query"]}']], /not a variable/],
    ['a path to the prototype', [operations, ['map', '{"0":["variables.__proto__.polluted"]}']], /not a variable/],
  ])('%s', async (_what, parts, message) => {
    const shell = await start(async (upload) => text((await upload).createReadStream()));
    const body = new FormData();
    for (const [name, value] of parts) {
      if (/^\d/.test(name)) body.append(name, new Blob([value]), 'dump.sql');
      else body.append(name, value);
    }
    const { errors } = await answerOf(send(shell, body));
    expect(errors[0]?.message).toMatch(message);
    expect(errors[0]?.extensions.code).toMatch(/^(BAD_USER_INPUT|PAYLOAD_TOO_LARGE)$/);
  });

  test('no boundary', async () => {
    const shell = await start(acceptInto({ bytes: 0 }));
    const headers = { 'content-type': 'multipart/form-data', 'apollo-require-preflight': '1' };
    const response = await fetch(`${shell.url}/graphql`, { method: 'POST', headers, body: 'x' });
    expect([response.status, (await answerOf(response)).errors[0]?.extensions.code]).toEqual([400, 'BAD_USER_INPUT']);
  });
});
