/** PostgreSQL manual, 55.7: what begins a connection, in place of a protocol version. */
export const CANCEL_REQUEST = 80877102;
export const SSL_REQUEST = 80877103;
export const GSSENC_REQUEST = 80877104;

/** PostgreSQL's own limit. */
export const MOST_STARTUP_BYTES = 10_000;

/** StartupMessage. Names and values are bytes, one character each (latin1): their encoding is the database's business. */
export interface Startup {
  /** 0x30000 for 3.0. */
  readonly version: number;
  readonly parameters: ReadonlyMap<string, string>;
}

/** What a client that knows it may cancel a session by: the process id and a secret, in bytes as they are sent. */
export type CancelKey = Buffer;

/** The last word to a client: ErrorResponse of severity FATAL. */
export class Fatal extends Error {
  override readonly name = 'Fatal';

  constructor(
    readonly sqlstate: string,
    message: string,
    readonly hint?: string,
  ) {
    super(message);
  }

  toBytes(): Buffer {
    const fields = { S: 'FATAL', V: 'FATAL', C: this.sqlstate, M: this.message, ...(this.hint && { H: this.hint }) };
    const text = Object.entries(fields).map(([type, value]) => `${type}${value.replaceAll('\0', '')}\0`);
    return Buffer.concat([Buffer.from('E'), withLength(Buffer.from(`${text.join('')}\0`))]);
  }
}

/** SQLSTATEs (PostgreSQL manual, appendix A). */
export const SQLSTATE = {
  protocolViolation: '08P01',
  featureNotSupported: '0A000',
  invalidAuthorization: '28000',
  diskFull: '53100',
  tooManyConnections: '53300',
  adminShutdown: '57P01',
  cannotConnectNow: '57P03',
} as const;

/** `bytes` is what follows the version. Throws Fatal. */
export function parseStartup(version: number, bytes: Buffer): Startup {
  const [major, minor] = [version >>> 16, version & 0xffff];
  if (major !== 3) {
    throw new Fatal(
      SQLSTATE.featureNotSupported,
      `unsupported frontend protocol ${major}.${minor}: this server supports 3`,
    );
  }
  // name, value, name, value, and an empty name
  const texts = bytes.toString('latin1').split('\0');
  const parameters = new Map<string, string>();
  let at = 0;
  for (; texts[at] && at + 1 < texts.length; at += 2) parameters.set(texts[at] as string, texts[at + 1] as string);
  if (at !== texts.length - 2 || texts.at(-1) !== '') {
    throw new Fatal(SQLSTATE.protocolViolation, 'invalid startup packet layout: expected terminator as last byte');
  }
  return { version, parameters };
}

export function startupBytes({ version, parameters }: Startup): Buffer {
  const texts = [...parameters].flat().map((text) => `${text}\0`);
  return withLength(Buffer.concat([int32(version), Buffer.from(`${texts.join('')}\0`, 'latin1')]));
}

export function cancelBytes(key: CancelKey): Buffer {
  return withLength(Buffer.concat([int32(CANCEL_REQUEST), key]));
}

/** Text as PostgreSQL's client means it, byte by byte. */
export function toBytewise(text: string): string {
  return Buffer.from(text).toString('latin1');
}

export function fromBytewise(text: string): string {
  return Buffer.from(text, 'latin1').toString();
}

function withLength(bytes: Buffer): Buffer {
  return Buffer.concat([int32(bytes.length + 4), bytes]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
