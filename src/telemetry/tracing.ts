import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { RequestHandler } from 'express';
import type { OperationReport } from '../graphql/operation-report.js';
import type { EventBus } from '../ports.js';
import { TracedEventBus } from './traced-events.js';

/** A collector that is away keeps nobody waiting for longer. */
const EXPORT_TIMEOUT_MS = 3_000;

export interface TracingOptions {
  /** As in OTEL_EXPORTER_OTLP_ENDPOINT: traces go to v1/traces below it. */
  readonly endpoint: URL;
  readonly instance: string;
}

/** Spans of this instance, sent to an OpenTelemetry collector. They hold neither SQL nor values nor passwords. */
export class Tracing {
  readonly #provider: BasicTracerProvider;
  readonly #tracer: Tracer;
  readonly #propagator = new W3CTraceContextPropagator();

  constructor({ endpoint, instance }: TracingOptions) {
    const exporter = new OTLPTraceExporter({ url: tracesUrl(endpoint), timeoutMillis: EXPORT_TIMEOUT_MS });
    this.#provider = new BasicTracerProvider({
      resource: resourceFromAttributes({ 'service.name': 'replichat', 'service.instance.id': instance }),
      spanProcessors: [new BatchSpanProcessor(exporter, { exportTimeoutMillis: EXPORT_TIMEOUT_MS })],
    });
    this.#tracer = this.#provider.getTracer('replichat');
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  }

  /** A span for each HTTP request, below that of its client; what is done for it is below this one. */
  requests(): RequestHandler {
    return (request, response, next) => {
      const parent = this.#propagator.extract(ROOT_CONTEXT, request.headers, HEADERS);
      const { method, path } = request;
      const span = this.#tracer.startSpan(`${method} ${path}`, { kind: SpanKind.SERVER }, parent);
      response.once('close', () => {
        const { requestId, operationName } = response.locals.scope;
        if (operationName) span.updateName(`graphql ${operationName}`);
        span.setAttributes({ 'http.request.method': method, 'url.path': path, 'replichat.request_id': requestId });
        span.setAttribute('http.response.status_code', response.statusCode);
        if (response.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
      });
      context.with(trace.setSpan(parent, span), next);
    };
  }

  /** Of an operation over WebSocket, when it has ended. */
  noteOperation({ transport, type, name, failed, seconds }: OperationReport): void {
    if (transport !== 'websocket') return;
    const endedAt = Date.now();
    const startTime = endedAt - 1000 * seconds;
    const span = this.#tracer.startSpan(`graphql ${name ?? type}`, { kind: SpanKind.SERVER, startTime }, ROOT_CONTEXT);
    span.setAttribute('graphql.operation.type', type ?? 'invalid');
    if (failed) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end(endedAt);
  }

  /** A span for each replication, below the request that it came with, and one below that for each of its steps. */
  around(bus: EventBus): EventBus {
    return new TracedEventBus(bus, this.#tracer);
  }

  /** A span for what takes its time within an operation. */
  span<T>(name: string, attributes: Record<string, string>, work: () => Promise<T>): Promise<T> {
    return this.#tracer.startActiveSpan(name, { attributes }, async (span) => {
      try {
        return await work();
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR });
        span.setAttribute('replichat.error', String((error as { code?: unknown }).code ?? 'INTERNAL_SERVER_ERROR'));
        throw error;
      } finally {
        span.end();
      }
    });
  }

  /** Sends what has not been sent yet. */
  async close(): Promise<void> {
    await this.#provider.shutdown();
  }
}

const HEADERS = {
  keys: (headers: object) => Object.keys(headers),
  get: (headers: Record<string, string | string[] | undefined>, name: string) => headers[name],
};

function tracesUrl(endpoint: URL): string {
  return `${endpoint.href.replace(/\/$/, '')}/v1/traces`;
}
