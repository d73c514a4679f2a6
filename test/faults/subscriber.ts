import { once } from 'node:events';
import WebSocket from 'ws';
import { hasEnded, type ReplicaState } from '../../src/domain/replica.js';

/** A WebSocket that speaks graphql-transport-ws by hand: unlike the client of graphql-ws it can stop reading. */
export class Subscriber {
  readonly #operations = new Map<string, Operation>();
  readonly closed: Promise<number>;
  /** What it was told in the place of what it had asked for. */
  readonly errors: string[] = [];
  #count = 0;

  private constructor(readonly socket: WebSocket) {
    socket.on('error', () => {});
    socket.on('message', (text) => this.#receive(JSON.parse(String(text))));
    this.closed = once(socket, 'close').then(([code]) => code);
    this.closed.then(() => {
      for (const { end } of this.#operations.values()) end();
    });
  }

  static async connect(port: number): Promise<Subscriber> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws', {
      perMessageDeflate: false,
    });
    await once(socket, 'open');
    socket.send('{"type":"connection_init"}');
    await once(socket, 'message');
    return new Subscriber(socket);
  }

  /** Resolves when the subscription is complete or the socket is closed. */
  subscribe(query: string, variables: object, next: (data: Data) => void): Promise<void> {
    this.#count += 1;
    const id = `${this.#count}`;
    return new Promise((end) => {
      this.#operations.set(id, { next, end });
      this.socket.send(JSON.stringify({ type: 'subscribe', id, payload: { query, variables } }));
    });
  }

  /** Without waiting for what its operations still have to say. */
  complete(): void {
    for (const id of this.#operations.keys()) this.socket.send(JSON.stringify({ type: 'complete', id }));
    for (const { end } of this.#operations.values()) end();
    this.#operations.clear();
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.closed;
  }

  #receive({ type, id = '', payload }: ServerMessage): void {
    const operation = this.#operations.get(id);
    if (type === 'next' && payload?.data) operation?.next(payload.data);
    else if (type === 'next' || type === 'error') this.errors.push(JSON.stringify(payload));
    if (type !== 'complete' && type !== 'error') return;
    this.#operations.delete(id);
    operation?.end();
  }
}

interface Operation {
  readonly next: (data: Data) => void;
  readonly end: () => void;
}

// What it carries is the subscription's to know.
// biome-ignore lint/suspicious/noExplicitAny: see above
type Data = any;

interface ServerMessage {
  type: string;
  id?: string;
  payload?: { data?: Data };
}

const MESSAGES = 'subscription($id: ID!) { messageAdded(chatId: $id) { content { ... on TextContent { text } } } }';

/** Hears the messages of a chat, which are numbers one after the other. */
export class MessageListener {
  /** The latest. */
  last: number | undefined;
  heard = 0;
  readonly wrong: string[] = [];

  constructor(
    readonly chatId: string,
    private readonly name: string,
  ) {}

  listen(subscriber: Subscriber): Promise<void> {
    return subscriber.subscribe(MESSAGES, { id: this.chatId }, ({ messageAdded }) => {
      const number = Number(messageAdded.content.text);
      if (this.last !== undefined && number !== this.last + 1)
        this.wrong.push(`${this.name}: ${number} after ${this.last}`);
      this.last = number;
      this.heard += 1;
    });
  }
}

const PROGRESS = `subscription($id: ID!, $after: Int) { replicationStatus(chatId: $id, after: $after) {
  sequence state step percent } }`;

interface Snapshot {
  readonly sequence: number;
  readonly state: ReplicaState;
  readonly step: string | null;
  readonly percent: number;
}

/** Hears one replication of a chat after the other. */
export class ReplicationListener {
  /** The sequence of the latest snapshot. */
  sequence: number;
  heard = 0;
  /** Of each replication that has ended, by the sequence of its end: the states and steps that were heard. */
  readonly histories = new Map<number, string[]>();
  readonly wrong: string[] = [];

  constructor(
    readonly chatId: string,
    after: number,
    private readonly name: string,
  ) {
    this.sequence = after;
  }

  async listen(subscriber: Subscriber): Promise<void> {
    while (subscriber.socket.readyState === WebSocket.OPEN) {
      const heard: Snapshot[] = [];
      const variables = { id: this.chatId, after: this.sequence };
      await subscriber.subscribe(PROGRESS, variables, ({ replicationStatus }) => this.#hear(replicationStatus, heard));
      const last = heard.at(-1);
      if (last && hasEnded(last.state)) this.histories.set(last.sequence, phasesOf(heard));
      else if (subscriber.socket.readyState === WebSocket.OPEN) this.wrong.push(`${this.name}: no end`);
    }
  }

  #hear(snapshot: Snapshot, heard: Snapshot[]): void {
    const before = heard.at(-1);
    if (snapshot.sequence <= this.sequence)
      this.wrong.push(`${this.name}: ${snapshot.sequence} after ${this.sequence}`);
    if (before && snapshot.percent < before.percent)
      this.wrong.push(`${this.name}: ${snapshot.percent} % after ${before.percent} %`);
    this.sequence = snapshot.sequence;
    this.heard += 1;
    heard.push(snapshot);
  }
}

function phasesOf(snapshots: readonly Snapshot[]): string[] {
  const all = snapshots.map(({ state, step }) => [state, step].filter(Boolean).join(' '));
  return all.filter((phase, index) => phase !== all[index - 1]);
}
