import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import pino from 'pino';
import { type App, createApp } from './app.js';
import { type Config, ConfigError, describeVariables, loadConfig } from './config.js';
import { messageOf } from './domain/errors.js';

const HELP = `Usage: npm start

Starts Replichat. It is configured by its environment [default]:

${describeVariables()}

DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH are read as by Docker's own client.
`;

async function main(): Promise<void> {
  if (process.argv.includes('--help')) {
    process.stdout.write(HELP);
    return;
  }
  const config = loadConfig(process.env);
  const logger = pino({ level: config.logLevel });
  const app = await createApp(config, logger);
  try {
    app.httpServer.listen(config.port, config.host);
    await once(app.httpServer, 'listening');
    await app.gateway?.listen();
    if (app.metricsServer) {
      app.metricsServer.listen(config.metricsPort, config.host);
      await once(app.metricsServer, 'listening');
    }
  } catch (error) {
    await app.close();
    throw error;
  }
  closeOnSignals(app, config, logger);
  if (isExposed(app, config)) logger.warn('whoever reaches this server owns it: there is no authentication');
  process.stdout.write(banner(app, config));
}

/** A second signal ends the process whatever is still open. */
function closeOnSignals(app: App, { shutdownMs }: Config, logger: pino.Logger): void {
  const close = async (signal: NodeJS.Signals) => {
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(name, () => process.exit(1));
    setTimeout(() => {
      logger.error('the shutdown took longer than SHUTDOWN_TIMEOUT; what is left is removed by the next server');
      process.exit(1);
    }, shutdownMs).unref();
    logger.info({ signal }, 'shutting down');
    await app.close();
    logger.info('everything is closed');
  };
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(name, close);
}

function isExposed({ httpServer }: App, { auth }: Config): boolean {
  return !auth && !/^(127\.|::1$)/.test((httpServer.address() as AddressInfo).address);
}

const EXPOSED = `
  WARNING       Whoever reaches this server owns it: every chat, every replica, every password. HOST is no loopback
                address, there is no authentication, and ALLOW_UNAUTHENTICATED says that this is meant.
`;

function banner(app: App, config: Config): string {
  const { address, port, family } = app.httpServer.address() as AddressInfo;
  const anywhere = address === '0.0.0.0' || address === '::';
  const host = anywhere || address === '127.0.0.1' ? 'localhost' : family === 'IPv6' ? `[${address}]` : address;
  const clients = app.gateway?.address;
  const psql = clients
    ? `${clients.host}:${clients.port}  (credentials(chatId, target: REPLICA) gives the URI)`
    : 'off, as GATEWAY_PORT says';
  const url = `http://${host}:${port}`;
  const access = config.auth ? `by tokens of ${config.auth.issuer}` : 'without authentication: one user';
  return `
  Replichat is listening.

  Console       ${url}/
  GraphiQL      ${url}/graphiql
  API           ${url}/graphql  (WebSocket on the same path)
  Health        ${url}/healthz, ${url}/readyz
  Metrics       ${metricsOf(app, config, url)}
  PostgreSQL    ${psql}
  Replicas      engine ${app.engine.name}: ${app.engineChoice}
                ${wrapped(app.engine.description)}
  Access        ${access}
${isExposed(app, config) ? EXPOSED : ''}
`;
}

function metricsOf({ metricsServer }: App, { auth }: Config, url: string): string {
  if (!metricsServer) return auth ? 'off, without METRICS_PORT' : `${url}/metrics`;
  const { address, port } = metricsServer.address() as AddressInfo;
  return `port ${port} of ${address}, /metrics`;
}

function wrapped(text: string): string {
  return text.replace(/(.{1,90})(?: |$)/g, '$1\n                ').trimEnd();
}

/** One line for what whoever starts the server can mend, the stack for the rest. */
function complaint(error: unknown): string {
  const { code, syscall, stack } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE')
    return `${messageOf(error)}; stop what listens there, or set PORT or GATEWAY_PORT (0 takes a free one)`;
  return error instanceof ConfigError || syscall === 'listen' ? messageOf(error) : (stack ?? messageOf(error));
}

main().catch((error) => {
  process.stderr.write(`${complaint(error)}\n`);
  process.exitCode = 1;
});
