import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ClientSession } from '../services/running.js';
import { Answers } from './answers.js';
import { type CancelKey, Fatal, SQLSTATE } from './messages.js';

/** How long a message that has begun may take to end before the session is cut off in the middle of it. */
const LAST_MESSAGE_MS = 1_000;
/** How long either side may take to notice that the other has ended. */
const LINGER_MS = 5_000;

/** A client's connection, from its StartupMessage to its end: bytes flow both ways, each way as fast as its reader. */
export class Session implements ClientSession {
  readonly closed: Promise<void>;
  readonly #lastWordSaid: Promise<void>;
  #server: Duplex | undefined;
  #answers: Answers | undefined;
  #lastByteAt = Date.now();
  #lastWord: Fatal | undefined;
  #said!: () => void;

  constructor(private readonly client: Socket) {
    this.closed = new Promise((resolve) => client.once('close', () => resolve()));
    this.#lastWordSaid = new Promise((resolve) => {
      this.#said = resolve;
    });
    client.once('close', () => this.#said());
    // Only who reads hears that the client has gone; what it says meanwhile waits.
    client.on('readable', ignore);
  }

  get lastActiveAt(): Date | null {
    if (!this.hasBegun) return null;
    return new Date(this.#answers?.idle ? this.#lastByteAt : Date.now());
  }

  /** PostgreSQL has let the client in. */
  get hasBegun(): boolean {
    return this.#answers?.ready ?? false;
  }

  get hasEnded(): boolean {
    return this.client.destroyed || this.#lastWord !== undefined;
  }

  /** From here on bytes flow. `newKey` gives the key that the client gets in the place of the server's. */
  begin(server: Duplex, startup: Buffer, newKey: (key: CancelKey) => CancelKey): void {
    const { client } = this;
    this.#server = server;
    const answers = new Answers(newKey);
    this.#answers = answers;
    server
      .on('error', ignore)
      .on('drain', () => client.resume())
      .on('data', (chunk: Buffer) => this.#answer(chunk, server, answers))
      .on('close', () => this.#hangUp());
    server.write(startup);
    client
      .off('readable', ignore)
      .on('drain', () => server.resume())
      .on('data', (chunk: Buffer) => this.#ask(chunk, server, answers))
      .on('end', () => {
        server.end();
        destroyLater(server);
      })
      .on('close', () => server.destroy());
  }

  #ask(chunk: Buffer, server: Duplex, answers: Answers): void {
    this.#lastByteAt = Date.now();
    answers.idle = false;
    if (server.writable && !server.write(chunk)) this.client.pause();
  }

  #answer(chunk: Buffer, server: Duplex, answers: Answers): void {
    const { client } = this;
    this.#lastByteAt = Date.now();
    try {
      const bytes = this.#lastWord ? answers.rest(chunk) : answers.read(chunk);
      if (bytes.length > 0 && client.writable && !client.write(bytes)) server.pause();
    } catch {
      this.cutOff();
    }
    if (this.#lastWord && answers.betweenMessages) this.#sayLastWord(this.#lastWord);
  }

  end(why: string): Promise<void> {
    this.endWith(new Fatal(SQLSTATE.adminShutdown, `terminating connection: ${why}`));
    return this.#lastWordSaid;
  }

  /** As soon as the message that has begun has ended. */
  endWith(word: Fatal): void {
    if (this.hasEnded) return;
    this.#lastWord = word;
    if (this.#answers?.betweenMessages ?? true) {
      this.#sayLastWord(word);
      return;
    }
    this.#server?.resume();
    const tooLate = setTimeout(() => this.cutOff(), LAST_MESSAGE_MS);
    this.#lastWordSaid.then(() => clearTimeout(tooLate));
  }

  cutOff(): void {
    this.client.destroy();
  }

  #sayLastWord(word: Fatal): void {
    if (this.client.writable) this.client.write(word.toBytes());
    this.#said();
    this.#server?.destroy();
    this.#hangUp();
  }

  #hangUp(): void {
    this.client.off('readable', ignore);
    hangUp(this.client);
  }
}

/** A client that has not read it all yet is given time for it: it would lose what was said last. */
export function hangUp(client: Socket): void {
  client.on('data', ignore).resume().end();
  destroyLater(client);
}

export function destroyLater(stream: Duplex): void {
  const timer = setTimeout(() => stream.destroy(), LINGER_MS).unref();
  stream.once('close', () => clearTimeout(timer));
}

function ignore(): void {}
