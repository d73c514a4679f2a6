import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createSecureContext, type SecureContext } from 'node:tls';
import express from 'express';
import type { Logger } from 'pino';
import { SoleOwnerAuthenticator } from './auth/sole-owner.js';
import { TokenAuthenticator } from './auth/tokens.js';
import { type Config, ConfigError } from './config.js';
import { Database } from './database/database.js';
import { migrate } from './database/migrate.js';
import { SOLE_OWNER } from './domain/chat.js';
import { messageOf } from './domain/errors.js';
import { newId } from './domain/ids.js';
import { DockerEngine } from './engines/docker.js';
import { EmbeddedEngine } from './engines/embedded.js';
import { WarmEngine } from './engines/warm.js';
import { MemoryEventBus } from './events/memory.js';
import { PostgresEventBus } from './events/postgres.js';
import { Gateway } from './gateway/gateway.js';
import { createConsole } from './graphql/console.js';
import type { Context } from './graphql/context.js';
import { EXAMPLES } from './graphql/examples.js';
import { Rates } from './graphql/rates.js';
import { createSchema } from './graphql/schema.js';
import { createGraphQLServer } from './graphql/server.js';
import type { ChatStore, EventBus, Registry, ReplicaEngine } from './ports.js';
import { ChatService } from './services/chats.js';
import { QueryService } from './services/queries.js';
import { ReplicaService } from './services/replicas.js';
import { Keyring, KeyringError } from './stores/keyring.js';
import { MemoryChatStore } from './stores/memory.js';
import { MemoryRegistry } from './stores/memory-registry.js';
import { PostgresChatStore } from './stores/postgres.js';
import { takeKeyring } from './stores/postgres-keys.js';
import { PostgresRegistry } from './stores/postgres-registry.js';
import { MeasuredEventBus } from './telemetry/measured-events.js';
import { Metrics } from './telemetry/metrics.js';
import { ReadinessCheck } from './telemetry/readiness.js';
import { createMetricsPage, createReadyz } from './telemetry/routes.js';
import { TracedQueryService } from './telemetry/traced-queries.js';
import type { Tracing } from './telemetry/tracing.js';

export interface App {
  /** What the containers and folders of its replicas are labelled with; new at every start. */
  readonly instance: string;
  /** Not listening yet. */
  readonly httpServer: Server;
  /** For PostgreSQL clients, not listening yet; undefined when GATEWAY_PORT is off. */
  readonly gateway: Gateway | undefined;
  /** For /metrics on METRICS_PORT, not listening yet; undefined without that. */
  readonly metricsServer: Server | undefined;
  readonly engine: ReplicaEngine;
  /** Why it is this engine, in words. */
  readonly engineChoice: string;
  /** Last in, first out; safe to call more than once. */
  close(): Promise<void>;
}

/** Puts the server together. Whatever has been started is ended again when a later part fails to start. */
export async function createApp(config: Config, logger: Logger): Promise<App> {
  const releasers: (() => Promise<void>)[] = [];
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= releaseAll(releasers, logger);
    return closing;
  };
  try {
    const secureContext = await readTls(config.gateway.tls);
    const instance = newId();
    const tracing = await startTracing(config, instance, releasers);
    const { store, events: bus, registry, storeId } = await openStorage(config, instance, logger, releasers);
    const { engine: chosen, why } = await chooseEngine(config, instance, storeId, logger);
    const { warm: servers } = config.replica;
    const engine = servers > 0 ? new WarmEngine(chosen, { servers, logger }) : chosen;
    releasers.push(() => engine.close());
    const metrics = new Metrics({
      warmServers: () => (engine instanceof WarmEngine ? engine.ready : 0),
      replicas: () => replicas.states(),
    });
    const events = new MeasuredEventBus(tracing?.around(bus) ?? bus, metrics);
    const replicas = new ReplicaService(
      store,
      events,
      registry,
      engine,
      instance,
      limitsOf(config),
      () => gateway?.address,
      logger,
    );
    // They close last, though they are put together last: who watches a replication is told over them how it ended.
    const httpServers: (() => Promise<void>)[] = [];
    releasers.push(() => releaseAll(httpServers, logger));
    releasers.push(() => replicas.close());
    const chats = new ChatService(store, events, replicas, config);
    const queries = tracing
      ? new TracedQueryService(tracing, chats, replicas, config)
      : new QueryService(chats, replicas, config);
    await replicas.start();
    const gateway = createGateway(config, replicas, secureContext, logger);
    if (gateway) releasers.push(() => gateway.close());

    // Who needs no token has the server to himself.
    const rates = new Rates(config.auth ? config.rates : {});
    const parts = { store: () => store.chat(SOLE_OWNER, 'readyz'), engine: () => engine.check() };
    const pages = [createConsole(), createReadyz(new ReadinessCheck(parts, logger))];
    // Whoever has no token is not told what others do.
    if (!config.auth && config.metricsPort === undefined) pages.push(createMetricsPage(metrics));
    const metricsServer = config.metricsPort === undefined ? undefined : createServer(createMetricsPage(metrics));
    if (metricsServer) httpServers.push(() => closeServerOf(metricsServer));
    const auditor = logger.child({}, { level: 'info' });
    const { httpServer, close: closeServer } = await createGraphQLServer({
      schema: await createSchema(),
      context: ({ requestId, signal, owner, requestBytes }): Context => ({
        chats,
        replicas,
        queries,
        owner,
        rates,
        logger: logger.child({ requestId }),
        audit: (event, facts) => auditor.info({ audit: event, owner, requestId, ...facts }, event),
        signal,
        requestBytes,
      }),
      authenticator: config.auth ? new TokenAuthenticator(config.auth) : new SoleOwnerAuthenticator(SOLE_OWNER),
      logger,
      allowedOrigins: config.allowedOrigins,
      allowedHosts: config.allowedHosts,
      maxUploadBytes: config.maxUploadBytes,
      // A message travels as JSON inside of JSON.
      maxBodyBytes: 2 * config.maxMessageBytes,
      uploadIdleMs: config.uploadIdleMs,
      minUploadBytes: config.minUploadBytes,
      bodyTimeoutMs: config.bodyTimeoutMs,
      queryLimits: config.queries,
      socketLimits: config.sockets,
      maxConnections: config.maxConnections,
      health: () => ({ engine: engine.name }),
      examples: EXAMPLES,
      onOperation: (report) => {
        metrics.countOperation(report);
        tracing?.noteOperation(report);
      },
      ...(tracing && { around: tracing.requests() }),
      routes: express().use(...pages),
    });
    httpServers.push(closeServer);
    return { instance, httpServer, gateway, metricsServer, engine, engineChoice: why, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function releaseAll(releasers: (() => Promise<void>)[], logger: Logger): Promise<void> {
  for (const release of releasers.reverse()) {
    await release().catch((error) => logger.error({ err: error }, 'something could not be closed'));
  }
}

/** Whoever scrapes keeps his connection. */
async function closeServerOf(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

/** The libraries are loaded where there is somebody to send traces to, and only there. */
async function startTracing(
  { traces }: Config,
  instance: string,
  releasers: (() => Promise<void>)[],
): Promise<Tracing | undefined> {
  if (!traces) return undefined;
  const { Tracing } = await import('./telemetry/tracing.js');
  const tracing = new Tracing({ endpoint: traces, instance });
  releasers.push(() => tracing.close());
  return tracing;
}

async function openStorage(
  { database: config }: Config,
  instance: string,
  logger: Logger,
  releasers: (() => Promise<void>)[],
): Promise<{ store: ChatStore; events: EventBus; registry: Registry; storeId?: string }> {
  if (!config) {
    const [store, events] = [new MemoryChatStore(), new MemoryEventBus()];
    releasers.push(
      () => store.close(),
      () => events.close(),
    );
    return { store, events, registry: new MemoryRegistry() };
  }
  const { url, keys } = config;
  await migrate(url, logger).catch((error) => {
    throw new ConfigError(`DATABASE_URL: the database cannot be used: ${messageOf(error)}`, { cause: error });
  });
  const database = new Database(url, logger);
  const keyring = new Keyring(keys);
  const store = new PostgresChatStore(database, keyring);
  releasers.push(() => store.close());
  await takeKeyring(database, keyring).catch((error) => {
    throw error instanceof KeyringError ? new ConfigError(`CREDENTIALS_KEYS: ${error.message}`) : error;
  });
  const events = await PostgresEventBus.open(url, database, logger);
  releasers.push(() => events.close());
  // However many wait for the other's connections, the server says in time that it lives.
  const heartbeat = new Database(url, logger);
  releasers.push(() => heartbeat.close());
  const registry = new PostgresRegistry(heartbeat, instance);
  return { store, events, registry, storeId: await registry.storeId() };
}

async function readTls(files: Config['gateway']['tls']): Promise<SecureContext | undefined> {
  if (!files) return undefined;
  try {
    const [cert, key] = await Promise.all([readFile(files.cert), readFile(files.key)]);
    return createSecureContext({ cert, key });
  } catch (error) {
    throw new ConfigError(`GATEWAY_TLS_CERT and GATEWAY_TLS_KEY: no certificate with its key: ${messageOf(error)}`);
  }
}

function createGateway(
  { host, gateway }: Config,
  replicas: ReplicaService,
  secureContext: SecureContext | undefined,
  logger: Logger,
): Gateway | undefined {
  const { port, host: clientHost, maxConnections } = gateway;
  if (port === 'off') return undefined;
  return new Gateway({ replicas, logger, host, port, clientHost, secureContext, maxConnections });
}

async function chooseEngine(
  config: Config,
  instance: string,
  store: string | undefined,
  logger: Logger,
): Promise<{ engine: ReplicaEngine; why: string }> {
  const { image, connect, defaultMajor, memoryBytes, cpus } = config.replica;
  const docker = () => new DockerEngine({ instance, store, image, connect, defaultMajor, memoryBytes, cpus, logger });
  const embedded = () => new EmbeddedEngine({ instance, memoryBytes, logger });
  if (config.engine === 'docker') return { engine: docker(), why: 'as REPLICA_ENGINE says' };
  if (config.engine === 'embedded') return { engine: embedded(), why: 'as REPLICA_ENGINE says' };
  const candidate = docker();
  try {
    await candidate.check();
    return { engine: candidate, why: 'a Docker Engine answers' };
  } catch {
    await candidate.close();
    return { engine: embedded(), why: 'no Docker Engine answers' };
  }
}

function limitsOf(config: Config) {
  return {
    quotas: {
      maxReplicas: config.maxReplicas,
      maxReplicasPerOwner: config.maxReplicasPerOwner,
      memory: { bytes: config.replica.memoryBytes, maxBytes: config.maxReplicasMemoryBytes },
      disk: { bytes: config.replica.diskBytes, maxBytes: config.maxReplicasDiskBytes },
    },
    spoolBytes: config.maxSpoolBytes,
    restoreTimeoutMs: config.restoreTimeoutMs,
    maxUnpackedBytes: config.maxUnpackedBytes,
    ttlSeconds: config.replica.ttlSeconds,
  };
}
