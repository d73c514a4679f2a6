import { createReadStream } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BenchError } from './errors.js';

const BOUNDARY = 'replichat-bench-boundary';
const CHUNK_BYTES = 2 ** 20;
const UPLOAD = 'mutation ($input: UploadReplicaInput!) { uploadReplica(input: $input) { chatId } }';

/** Sends the file as curl would. Resolves when the server has answered in full; rejects when it refuses. */
export async function upload(url: string, chatId: string, file: string, fileBytes: number): Promise<void> {
  const operations = { query: UPLOAD, variables: { input: { chatId, file: null } } };
  const head = Buffer.from(
    `${field('operations', operations)}${field('map', { file: ['variables.input.file'] })}--${BOUNDARY}\r\n` +
      'Content-Disposition: form-data; name="file"; filename="dump.sql"\r\nContent-Type: application/sql\r\n\r\n',
  );
  const tail = Buffer.from(`\r\n--${BOUNDARY}--\r\n`);
  const outgoing = request(url, {
    // Not one that the server is just closing, five seconds after the upload before.
    agent: false,
    method: 'POST',
    headers: {
      'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
      'content-length': head.length + fileBytes + tail.length,
      'apollo-require-preflight': 'true',
    },
  });
  const answered = new Promise<string>((resolve, reject) => {
    outgoing.once('error', reject);
    outgoing.once('response', (response: IncomingMessage) => {
      response.toArray().then((chunks) => resolve(Buffer.concat(chunks).toString()), reject);
    });
  });
  const body = async function* () {
    yield head;
    yield* createReadStream(file, { highWaterMark: CHUNK_BYTES });
    yield tail;
  };
  const [answer] = await Promise.all([answered, pipeline(Readable.from(body()), outgoing)]);
  const { errors } = JSON.parse(answer);
  if (errors) throw new BenchError(`Replichat refuses the upload: ${errors[0].message}`);
}

function field(name: string, value: unknown): string {
  return `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${JSON.stringify(value)}\r\n`;
}
