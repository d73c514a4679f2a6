import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import {
  CANCEL_REQUEST,
  type CancelKey,
  Fatal,
  GSSENC_REQUEST,
  MOST_STARTUP_BYTES,
  parseStartup,
  SQLSTATE,
  SSL_REQUEST,
  type Startup,
} from './messages.js';

/** What a client wants, and the stream to say the rest on. */
export interface SessionGreeting {
  readonly type: 'session';
  readonly stream: Socket;
  readonly startup: Startup;
}

export interface CancelGreeting {
  readonly type: 'cancel';
  readonly stream: Socket;
  readonly key: CancelKey;
}

/** Nobody who could be told anything: the client has gone, or does not speak the protocol. */
export class NoClient extends Error {
  override readonly name = 'NoClient';
}

const LEAST_CANCEL_BYTES = 4 + 4;
/** The first byte of a TLS handshake, which no length of a start-up packet begins with (sslnegotiation=direct). */
const TLS_HANDSHAKE = 0x16;
const ALPN = 'postgresql';

/**
 * Reads how a client begins, as PostgreSQL's postmaster does: an SSLRequest and a GSSENCRequest at most once each, then
 * a StartupMessage or a CancelRequest. `onStream` is told of the stream that takes the socket's place. Throws Fatal, or
 * NoClient.
 */
export async function greet(
  socket: Socket,
  secureContext: SecureContext | undefined,
  onStream: (stream: Socket) => void,
): Promise<SessionGreeting | CancelGreeting> {
  let stream = socket;
  let isDirect = false;
  const asked = new Set<number>();
  const encrypt = () => {
    stream = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: [ALPN] });
    onStream(stream);
  };
  for (;;) {
    const packet = await startupPacket(stream);
    if (packet === 'TLS') {
      if (!secureContext || stream !== socket) throw new NoClient('TLS was not expected');
      isDirect = true;
      encrypt();
      continue;
    }
    // As PostgreSQL: whoever begins with TLS says what for, so that no other protocol's client is led here.
    if (stream instanceof TLSSocket && isDirect && stream.alpnProtocol !== ALPN) throw new NoClient('no ALPN');
    const code = packet.readUInt32BE();
    const rest = packet.subarray(4);
    if ((code === SSL_REQUEST || code === GSSENC_REQUEST) && !asked.has(code) && stream === socket) {
      asked.add(code);
      // What has come before the encryption was not said by whom the encryption is with (CVE-2021-23214).
      if (stream.readableLength > 0)
        throw new Fatal(SQLSTATE.protocolViolation, 'received unencrypted data after SSL request');
      const yes = code === SSL_REQUEST && secureContext !== undefined;
      stream.write(yes ? 'S' : 'N');
      if (yes) encrypt();
    } else if (code === CANCEL_REQUEST) {
      if (rest.length < LEAST_CANCEL_BYTES) throw new NoClient('the key is too short');
      return { type: 'cancel', stream, key: rest };
    } else {
      return { type: 'session', stream, startup: parseStartup(code, rest) };
    }
  }
}

/** What follows the length of a packet that has no type. */
function startupPacket(stream: Socket): Promise<Buffer | 'TLS'> {
  return new Promise((resolve, reject) => {
    let length: number | undefined;
    const settle = (result: Buffer | 'TLS' | NoClient) => {
      stream.off('readable', read).off('end', gone).off('close', gone);
      if (result instanceof NoClient) reject(result);
      else resolve(result);
    };
    const gone = () => settle(new NoClient('the client has gone'));
    const read = () => {
      if (length === undefined) {
        const header: Buffer | null = stream.read(4);
        if (header?.length !== 4) return;
        if (header.readUInt8() === TLS_HANDSHAKE) {
          stream.unshift(header);
          return settle('TLS');
        }
        length = header.readUInt32BE() - 4;
        if (length < 4 || length > MOST_STARTUP_BYTES) return settle(new NoClient('no start-up packet'));
      }
      const packet: Buffer | null = stream.read(length);
      if (packet?.length === length) settle(packet);
    };
    stream.on('readable', read).on('end', gone).on('close', gone);
    if (stream.destroyed) gone();
  });
}
