import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import busboy from 'busboy';
import { type FileUpload as StoredFileUpload, Upload } from 'graphql-upload-ts';
import { messageOf, ReplichatError } from '../domain/errors.js';
import type { BodyDeadline } from './body-deadline.js';
import { bodyTooLarge, uploadTooLarge } from './errors.js';
import { brokenOff, READ_AHEAD_BYTES, UploadAborted, UploadStream } from './upload-stream.js';

/** What a resolver gets for a variable of type Upload. */
export interface FileUpload {
  readonly fieldName: string;
  readonly filename: string;
  readonly mimetype: string;
  readonly encoding: string;
  /**
   * The content, once, straight from the socket: it arrives as fast as it is read. To be called before the mutation
   * resolves; a file that nobody has opened by then is discarded.
   */
  createReadStream(): Readable;
}

export interface UploadLimits {
  maxUploadBytes: number;
  /** Of `operations` and of `map`, each. */
  maxBodyBytes: number;
  /** How long a read waits for the next byte. */
  uploadIdleMs: number;
  /** What has to arrive per second of waiting. */
  minUploadBytes: number;
}

/**
 * One request of the GraphQL multipart request specification (https://github.com/jaydenseric/graphql-multipart-request-spec):
 * `operations`, `map`, then one file. The file is no sooner taken from the socket than its reader asks for it.
 */
export class MultipartRequest {
  readonly #request: IncomingMessage;
  readonly #limits: UploadLimits;
  readonly #deadline: BodyDeadline;
  readonly #parser: busboy.Busboy;
  #operations: object | undefined;
  #expected: { fieldName: string; upload: Upload } | undefined;
  #mapped = false;
  #file: Readable | undefined;
  #opened = false;
  #resolve: (operations: object) => void = () => {};
  #reject: (error: Error) => void = () => {};

  /** Throws BAD_USER_INPUT when the Content-Type has no boundary. */
  constructor(request: IncomingMessage, limits: UploadLimits, deadline: BodyDeadline) {
    this.#request = request;
    this.#limits = limits;
    this.#deadline = deadline;
    this.#parser = createParser(request, limits);
  }

  /** Resolves as soon as `map` has been read, an Upload standing in the place of the file's variable. */
  read(): Promise<object> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#parser.on('field', (name, value, info) =>
        this.#attempt(() => this.#field(name, value, info.valueTruncated)),
      );
      this.#parser.on('file', (name, stream, info) => this.#attempt(() => this.#receiveFile(name, stream, info)));
      this.#parser.once('finish', () => this.#attempt(() => this.#checkComplete()));
      this.#parser.on('error', (error) => this.#fail(brokenOff(error)));
      this.#request.once('close', () => {
        if (!this.#request.readableEnded)
          this.#fail(new UploadAborted('The client disconnected in the middle of the upload.'));
      });
      this.#request.pipe(this.#parser);
    });
  }

  /** The mutation has ended: a file that it has not opened is discarded. */
  dropUnopened(): void {
    if (!this.#opened) this.#fail(new UploadAborted('The file was not opened before the mutation ended.'));
  }

  #field(name: string, value: string, truncated: boolean): void {
    if (name !== 'operations' && name !== 'map') throw badMultipart(`there is no field "${name}"`);
    if (truncated) throw bodyTooLarge(this.#limits.maxBodyBytes, `"${name}"`);
    const content = parseObject(name, value);
    if (name === 'operations') {
      this.#operations = content;
      return;
    }
    if (this.#operations === undefined) throw badMultipart('"map" has to follow "operations"');
    this.#expected = placeUpload(content, this.#operations);
    this.#mapped = true;
    this.#resolve(this.#operations);
  }

  #receiveFile(fieldName: string, stream: Readable, info: busboy.FileInfo): void {
    stream.on('error', () => {}); // Whoever reads it gets the error; nobody may be reading it.
    if (this.#expected === undefined)
      throw badMultipart(`the file "${fieldName}" has to follow the "map" that names it`);
    if (this.#expected.fieldName !== fieldName) throw badMultipart(`"map" does not name the file "${fieldName}"`);
    this.#file = stream;
    this.#deadline.stop();
    stream.once('limit', () => stream.destroy(uploadTooLarge(this.#limits.maxUploadBytes)));
    stream.once('close', () => this.#discardRest());
    const file: FileUpload = {
      fieldName,
      filename: info.filename ?? '',
      mimetype: info.mimeType,
      encoding: info.encoding,
      createReadStream: () => this.#open(stream),
    };
    this.#expected.upload.resolve(file as unknown as StoredFileUpload);
  }

  #open(file: Readable): Readable {
    if (this.#opened) throw new Error('The uploaded file can be read only once.');
    this.#opened = true;
    return new UploadStream(file, { idleMs: this.#limits.uploadIdleMs, minBytes: this.#limits.minUploadBytes });
  }

  #attempt(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(messageOf(error)));
    }
  }

  #fail(error: Error): void {
    this.#reject(error);
    this.#expected?.upload.reject(error);
    this.#file?.destroy(error);
    this.#discardRest();
  }

  #checkComplete(): void {
    if (this.#operations === undefined) throw badMultipart('"operations" is missing');
    if (!this.#mapped) throw badMultipart('"map" is missing');
    if (this.#expected && !this.#file) throw badMultipart('the file that "map" names is missing');
  }

  /** A request whose body is left unread ends with a reset connection, and its client never sees the answer. */
  #discardRest(): void {
    this.#deadline.restart();
    this.#request.unpipe(this.#parser);
    // Not at once: when called from within the parser, the pipe would pause the request again.
    setImmediate(() => this.#request.resume());
  }
}

function createParser(request: IncomingMessage, { maxBodyBytes, maxUploadBytes }: UploadLimits): busboy.Busboy {
  try {
    return busboy({
      headers: request.headers,
      defParamCharset: 'utf8',
      fileHwm: READ_AHEAD_BYTES,
      // busboy calls a part truncated that has exactly the limit's size.
      limits: { fieldSize: maxBodyBytes + 1, fileSize: maxUploadBytes + 1, fields: 2, files: 1 },
    });
  } catch (error) {
    throw badMultipart(messageOf(error));
  }
}

/** Replaces the one null that `map` points at by an Upload; undefined when `map` names no file. */
function placeUpload(map: object, operations: object): { fieldName: string; upload: Upload } | undefined {
  const entries = Object.entries(map);
  const [entry] = entries;
  if (entry === undefined) return undefined;
  if (entries.length > 1) throw badMultipart('one request carries one file, "map" names several');
  const [fieldName, paths] = entry;
  if (!Array.isArray(paths) || paths.length !== 1 || typeof paths[0] !== 'string') {
    throw badMultipart(`"map" has to give the file "${fieldName}" a list of one path, such as ["variables.file"]`);
  }
  const upload = new Upload();
  const keys = paths[0].split('.');
  if (keys[0] !== 'variables' || !replaceNull(operations, keys, upload)) {
    throw badMultipart(`"map" points at "${paths[0]}", which is not a variable with the value null`);
  }
  return { fieldName, upload };
}

function replaceNull(target: unknown, [key, ...rest]: string[], value: Upload): boolean {
  if (key === undefined || !isObject(target) || !Object.hasOwn(target, key)) return false;
  const present: unknown = Reflect.get(target, key);
  if (rest.length > 0) return replaceNull(present, rest, value);
  return present === null && Reflect.set(target, key, value);
}

function parseObject(field: string, text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badMultipart(`"${field}" is not valid JSON`);
  }
  if (!isObject(value) || Array.isArray(value)) throw badMultipart(`"${field}" has to be a JSON object`);
  return value;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function badMultipart(problem: string): ReplichatError {
  return new ReplichatError('BAD_USER_INPUT', `Bad multipart request: ${problem}.`);
}
