import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type GraphQLFieldConfig,
  GraphQLInt,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLSchema,
  GraphQLString,
} from 'graphql';
import { GraphQLUpload } from 'graphql-upload-ts';
import { pino } from 'pino';
import { SoleOwnerAuthenticator } from '../../src/auth/sole-owner.js';
import { SOLE_OWNER } from '../../src/domain/chat.js';
import { ReplichatError } from '../../src/domain/errors.js';
import { createGraphQLServer, type GraphQLServerOptions, type OperationSource } from '../../src/graphql/server.js';
import type { FileUpload } from '../../src/graphql/uploads.js';

export type UploadHandler = (file: Promise<FileUpload>) => Promise<string>;

export interface Shell {
  url: string;
  port: number;
  /** The lines of the log. */
  log: Record<string, unknown>[];
  /** The contexts that operations have been given. */
  contexts: OperationSource[];
  close(): Promise<void>;
}

export const QUERY_LIMITS = {
  tokens: 5_000,
  depth: 15,
  aliases: 100,
  directives: 50,
  cost: 50_000,
  introspection: true,
  hints: true,
};

export const SOCKET_LIMITS = {
  all: 1_000,
  perUser: 1_000,
  operations: 100,
  operationsPerUser: 1_000,
  messageBytes: 64 * 1024,
  backlogBytes: 16 * 1024 ** 2,
};

/** The server under test with a schema of its own, on a real port. */
export async function startShell(
  upload: UploadHandler = async () => 'ignored',
  options: Partial<GraphQLServerOptions> = {},
): Promise<Shell> {
  const log: Record<string, unknown>[] = [];
  const contexts: OperationSource[] = [];
  const { httpServer, close } = await createGraphQLServer({
    schema: schemaWith(upload),
    context: (source) => {
      contexts.push(source);
      return { ...source };
    },
    authenticator: new SoleOwnerAuthenticator(SOLE_OWNER),
    logger: pino({ level: 'debug' }, { write: (line: string) => void log.push(JSON.parse(line)) }),
    allowedOrigins: ['https://studio.apollographql.com'],
    allowedHosts: ['replichat.test'],
    maxUploadBytes: 100_000_000,
    maxBodyBytes: 10_000,
    uploadIdleMs: 10_000,
    minUploadBytes: 0,
    bodyTimeoutMs: 30_000,
    queryLimits: QUERY_LIMITS,
    socketLimits: SOCKET_LIMITS,
    maxConnections: 1_000,
    health: () => ({ engine: 'none' }),
    ...options,
  });
  httpServer.listen(0, '127.0.0.1');
  await once(httpServer, 'listening');
  const { port } = httpServer.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, log, contexts, close };
}

export interface Answer {
  data?: unknown;
  errors: { message: string; extensions: { [name: string]: unknown } }[];
}

/** The JSON of a response; `errors` only if there are some. */
export async function answerOf(response: Response | Promise<Response>): Promise<Answer> {
  return (await (await response).json()) as Answer;
}

/** Polls; fails with what was being waited for. Less long than a body may take. */
export async function eventually(what: string, check: () => boolean): Promise<void> {
  const end = Date.now() + 25_000;
  while (!check()) {
    if (Date.now() > end) throw new Error(`never happened: ${what}`);
    await sleep(5);
  }
}

type Field = GraphQLFieldConfig<unknown, OperationSource, { [name: string]: unknown }>;

const text = new GraphQLNonNull(GraphQLString);

function schemaWith(upload: UploadHandler): GraphQLSchema {
  return new GraphQLSchema({
    query: new GraphQLObjectType<unknown, OperationSource>({ name: 'Query', fields: queries }),
    mutation: new GraphQLObjectType<unknown, OperationSource>({
      name: 'Mutation',
      fields: {
        upload: {
          type: text,
          args: { file: { type: new GraphQLNonNull(GraphQLUpload) } },
          resolve: (_root, { file }) => upload(file as Promise<FileUpload>),
        },
      },
    }),
    subscription: new GraphQLObjectType<unknown, OperationSource>({ name: 'Subscription', fields: subscriptions }),
  });
}

const queries: Record<string, Field> = {
  hello: { type: text, args: { name: { type: GraphQLString } }, resolve: (_root, { name }) => `hello ${name}` },
  refused: {
    type: text,
    resolve: () => {
      throw new ReplichatError('NOT_FOUND', 'There is no chat "x".', { chatId: 'x' });
    },
  },
  broken: {
    type: text,
    resolve: () => {
      throw new Error('password=hunter2');
    },
  },
  nothing: { type: text, resolve: () => null },
  untilAborted: { type: text, resolve: (_root, _args, { signal }) => aborted(signal).then(() => 'aborted') },
};

const subscriptions: Record<string, Field> = {
  count: subscription(async function* (_signal, to) {
    for (let n = 1; n <= to; n++) yield `${n}`;
  }),
  refused: {
    type: text,
    subscribe: () => {
      throw new ReplichatError('NOT_FOUND', 'There is no chat "x".');
    },
  },
  /** One message of so many bytes, and no end. */
  large: subscription(async function* (signal, to) {
    yield 'x'.repeat(to);
    await aborted(signal);
  }),
  refusedLater: subscription(async function* () {
    yield '1';
    throw new ReplichatError('REPLICA_NOT_READY', 'It went away.', { state: 'EXPIRED' });
  }),
  brokenLater: subscription(async function* () {
    yield '1';
    throw new Error('password=hunter2');
  }),
  brokenField: {
    ...subscription(async function* () {
      yield '1';
    }),
    resolve: () => {
      throw new Error('password=hunter2');
    },
  },
  forever: subscription(async function* (signal) {
    yield 'started';
    await aborted(signal);
    signal?.throwIfAborted();
  }),
};

function subscription(source: (signal: AbortSignal | undefined, to: number) => AsyncGenerator<string>): Field {
  return {
    type: text,
    args: { to: { type: GraphQLInt } },
    subscribe: (_root, { to }, { signal }) => source(signal, Number(to)),
    resolve: (value) => value,
  };
}

async function aborted(signal: AbortSignal | undefined): Promise<void> {
  if (signal && !signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
}
