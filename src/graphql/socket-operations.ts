import {
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  type GraphQLFormattedError,
  type GraphQLSchema,
  getOperationAST,
  parse,
  specifiedRules,
  type ValidationRule,
  validate,
} from 'graphql';
import { MessageType, type OperationResult, parseMessage, type SubscribePayload } from 'graphql-ws';
import type { Logger } from 'pino';
import { ReplichatError } from '../domain/errors.js';
import { newId } from '../domain/ids.js';
import { presentError } from './errors.js';
import type { OperationReport } from './operation-report.js';
import { costError, documentRules, type QueryLimits } from './query-limits.js';
import { Tally } from './tally.js';

export interface OperationOptions {
  readonly schema: GraphQLSchema;
  readonly context: (source: { requestId: string; signal: AbortSignal; owner: string }) => object;
  readonly queryLimits: QueryLimits;
  readonly socketLimits: {
    /** Of one socket, at a time. */
    readonly operations: number;
    /** Of all sockets of one user. */
    readonly operationsPerUser: number;
  };
  readonly logger: Logger;
  readonly onOperation: (report: OperationReport) => void;
}

/** What all sockets have in common. */
export class OperationRules {
  readonly validation: readonly ValidationRule[];
  readonly running: Tally;

  constructor(readonly options: OperationOptions) {
    this.validation = [...specifiedRules, ...documentRules(options.queryLimits)];
    this.running = new Tally(options.socketLimits.operationsPerUser);
  }
}

/** An operation from its subscribe message until it is complete. */
interface Operation {
  readonly id: string;
  readonly requestId: string;
  readonly startedAt: number;
  readonly abort: AbortController;
  /** It counts among its user's until then. */
  readonly leave: () => void;
  type: string | undefined;
  failed: boolean;
}

/** The operations of one socket. */
export class SocketOperations {
  /** By their messages: an id may be used again as soon as its operation has been completed by the client. */
  readonly #operations = new Map<SubscribePayload, Operation>();

  constructor(private readonly rules: OperationRules) {}

  /** The arguments of the execution, or what is wrong with the request. */
  prepare(id: string, payload: SubscribePayload, owner: string): ExecutionArgs | readonly GraphQLError[] {
    const { schema, context, queryLimits, socketLimits } = this.rules.options;
    const leave = this.rules.running.enter(owner);
    const operation = this.#begin(id, payload, leave);
    const { requestId, abort } = operation;
    if (!leave) return [tooMany('user', socketLimits.operationsPerUser, 'MAX_OPERATIONS_PER_USER')];
    if (this.#operations.size > socketLimits.operations)
      return [tooMany('connection', socketLimits.operations, 'MAX_SOCKET_OPERATIONS')];
    const { query, operationName, variables } = payload;
    try {
      const document = parse(query, { maxTokens: queryLimits.tokens });
      const errors = validate(schema, document, this.rules.validation);
      if (errors.length > 0) return errors;
      operation.type = getOperationAST(document, operationName)?.operation;
      const tooMuch = costError({ schema, document, operationName, variables }, queryLimits.cost);
      if (tooMuch) return [tooMuch];
      const contextValue = context({ requestId, signal: abort.signal, owner });
      return { schema, document, contextValue, operationName, variableValues: variables };
    } catch (error) {
      return [error instanceof GraphQLError ? error : new GraphQLError('', { originalError: asError(error) })];
    }
  }

  #begin(id: string, payload: SubscribePayload, leave: () => void = () => {}): Operation {
    const abort = new AbortController();
    const startedAt = performance.now();
    const operation = { id, requestId: newId(), startedAt, abort, leave, type: undefined, failed: false };
    this.#operations.set(payload, operation);
    return operation;
  }

  /** A source that was told to stop often says so by throwing; its client has left and is told nothing. */
  endQuietly(payload: SubscribePayload, result: OperationResult): OperationResult {
    const operation = this.#operations.get(payload);
    if (!operation || !isResultStream(result)) return result;
    const results = result[Symbol.asyncIterator]();
    const ended: IteratorResult<ExecutionResult> = { done: true, value: undefined };
    const quiet: AsyncIterableIterator<ExecutionResult> = {
      next: () =>
        results.next().catch((error: unknown) => {
          if (operation.abort.signal.aborted) return ended;
          throw error;
        }),
      return: async () => (await results.return?.(undefined)) ?? ended,
      [Symbol.asyncIterator]: () => quiet,
    };
    return quiet;
  }

  present(payload: SubscribePayload, errors: readonly GraphQLError[]): readonly GraphQLFormattedError[] {
    const { logger, queryLimits } = this.rules.options;
    const operation = this.#operations.get(payload);
    if (operation) operation.failed = true;
    const requestId = operation?.requestId ?? newId();
    return errors.map((error) => presentError(error, logger, requestId, queryLimits.hints));
  }

  finish(payload: SubscribePayload): void {
    const operation = this.#operations.get(payload);
    if (!operation) return;
    this.#operations.delete(payload);
    operation.leave();
    operation.abort.abort();
    const { requestId, startedAt, type, failed } = operation;
    const ms = performance.now() - startedAt;
    const { operationName } = payload;
    const { logger, onOperation } = this.rules.options;
    onOperation({ transport: 'websocket', type, name: operationName ?? undefined, failed, seconds: ms / 1000 });
    logger.info(
      { requestId, method: 'WS', path: '/graphql', operationName: operationName ?? undefined, ms: Math.round(ms) },
      'request',
    );
  }

  /** graphql-ws only asks the generator to return, which it does not before the promise that it awaits is settled. */
  abortCompleted(message: string): void {
    const id = completedId(message);
    for (const operation of this.#operations.values()) {
      if (operation.id === id) operation.abort.abort();
    }
  }

  /** The socket is closed. graphql-ws does not tell of an operation whose last message could not be sent any more. */
  finishAll(): void {
    for (const payload of [...this.#operations.keys()]) this.finish(payload);
  }

  abortAll(): void {
    for (const { abort } of this.#operations.values()) abort.abort();
  }
}

function tooMany(of: string, limit: number, variable: string): GraphQLError {
  const message = `one ${of} runs at most ${limit} operations at a time over WebSocket (${variable}); complete some`;
  const facts = { quota: 'operations', limit };
  return new GraphQLError(message, { originalError: new ReplichatError('QUOTA_EXCEEDED', message, facts) });
}

function isResultStream(result: OperationResult): result is AsyncGenerator<ExecutionResult> {
  return Symbol.asyncIterator in result;
}

function completedId(message: string): string | undefined {
  try {
    const parsed = parseMessage(message);
    return parsed.type === MessageType.Complete ? parsed.id : undefined;
  } catch {
    return undefined; // graphql-ws closes the socket for it.
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
