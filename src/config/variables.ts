import { z } from 'zod';
import {
  cpus,
  credentialsKeys,
  databaseUrl,
  duration,
  flag,
  gatewayPort,
  integer,
  jwksUrl,
  list,
  memory,
  metricsPort,
  oneOf,
  optionalUrl,
  rate,
  size,
  timeout,
} from './values.js';

export interface Variable {
  readonly schema: z.ZodType;
  /** As it would be written in the environment. */
  readonly byDefault: string;
  readonly description: string;
  /** A bad value is not repeated in what is said about it. */
  readonly secret?: boolean;
}

function variable<T>(byDefault: string, schema: z.ZodType<T>, description: string) {
  return { schema, byDefault, description };
}

function secret<T>(schema: z.ZodType<T>, description: string) {
  return { ...variable('', schema, description), secret: true };
}

/** Every variable of the environment that is read; DOCKER_HOST and its like are Docker's own. */
export const VARIABLES = {
  PORT: variable('4000', integer(0, 65535), 'TCP port to listen on; 0 takes a free one'),
  METRICS_PORT: variable(
    '',
    metricsPort,
    'TCP port for /metrics; without it they are on PORT, with authentication nowhere',
  ),
  SHUTDOWN_TIMEOUT: variable(
    '20s',
    timeout,
    'how long a shutdown may take; then the process ends, whatever is still open',
  ),
  HOST: variable(
    '127.0.0.1',
    z.string().min(1, 'is empty'),
    'address to listen on; one that others can reach needs authentication',
  ),
  AUTH_JWT_SECRET: variable(
    '',
    z.string(),
    'secret that the tokens (JWT) of clients are signed with by HS256; 32 bytes or more',
  ),
  AUTH_JWKS_URL: variable('', jwksUrl, 'where the public keys are that the tokens of clients are signed with'),
  AUTH_ISSUER: variable('', z.string(), 'iss that a token must have'),
  AUTH_AUDIENCE: variable('', z.string(), 'aud that a token must have'),
  ALLOW_UNAUTHENTICATED: variable(
    'false',
    flag,
    'whether the server may be reached by others without authentication: everybody who reaches it owns every chat',
  ),
  DATABASE_URL: secret(
    databaseUrl,
    'PostgreSQL that keeps chats, messages, credentials and replications; without it they live in memory',
  ),
  CREDENTIALS_KEYS: secret(
    credentialsKeys,
    'keys that passwords in DATABASE_URL are encrypted with, id:base64,id:base64: the first encrypts, all decrypt',
  ),
  GATEWAY_PORT: variable(
    'auto',
    gatewayPort,
    'TCP port for PostgreSQL clients; auto is 5433, or a free one where that is taken; 0 takes a free one, off none',
  ),
  GATEWAY_HOST: variable('', z.string(), 'host name that PostgreSQL clients are told to connect to; HOST without it'),
  GATEWAY_TLS_CERT: variable(
    '',
    z.string(),
    'file with the certificate (chain) for PostgreSQL clients, PEM; none: no TLS',
  ),
  GATEWAY_TLS_KEY: variable('', z.string(), 'file with the private key of that certificate, PEM'),
  GATEWAY_MAX_CONNECTIONS: variable('5000', integer(1, 1_000_000), 'connections of PostgreSQL clients at a time'),
  REPLICA_ENGINE: variable(
    'auto',
    oneOf('auto', 'docker', 'embedded'),
    'what runs replicas; auto takes docker where a Docker Engine answers, else embedded',
  ),
  REPLICA_IMAGE: variable(
    'postgres:{major}',
    z.string().min(1, 'is empty'),
    'image of engine docker; {major} is the major version that the dump came from',
  ),
  REPLICA_CONNECT: variable(
    'auto',
    oneOf('auto', 'exec'),
    'how engine docker reaches a replica; auto is by its Unix socket where the server is root on the machine of the Docker Engine, else by docker exec',
  ),
  REPLICA_MAJOR: variable('17', integer(14, 99), '{major} for a dump that does not say where it came from'),
  REPLICA_MEMORY: variable('1g', memory, 'memory of one replica'),
  REPLICA_CPUS: variable('0', cpus, 'CPUs of one replica; 0 for no limit'),
  REPLICA_DISK: variable('20g', size, 'disk of one replica, temporary files and write-ahead log included'),
  REPLICA_TTL: variable('24h', duration, 'how long a replica lives after its last use; 0 for as long as the server'),
  REPLICA_WARM: variable(
    '1',
    integer(0, 100),
    'servers kept started for the next replicas, on top of MAX_REPLICAS; 0 for none',
  ),
  RESTORE_TIMEOUT: variable('1h', timeout, 'how long a restore may take, the upload included'),
  MAX_REPLICAS: variable('20', integer(1, 10_000), 'replicas at a time'),
  MAX_REPLICAS_PER_OWNER: variable('0', integer(0, 10_000), 'replicas of one user at a time; 0 for no limit'),
  MAX_REPLICAS_MEMORY: variable(
    '0',
    size,
    'memory of all replicas together, each counted with REPLICA_MEMORY, and twice while its chat uploads again; 0 for no limit',
  ),
  MAX_REPLICAS_DISK: variable('0', size, 'likewise disk, each counted with REPLICA_DISK; 0 for no limit'),
  MAX_SPOOL_BYTES: variable(
    '4g',
    size,
    'disk in the temporary folder for what one upload is ahead of its restore; the upload waits beyond it',
  ),
  MAX_UPLOAD_BYTES: variable('10g', size, 'size of an uploaded file'),
  MAX_UNPACKED_BYTES: variable('50g', size, 'size of the script in a compressed file or an archive'),
  UPLOAD_IDLE_TIMEOUT: variable('60s', timeout, 'how long an upload may stand still'),
  MIN_UPLOAD_RATE: variable(
    '1k',
    size,
    'bytes per second that an upload has to bring while it is waited for, looked at each UPLOAD_IDLE_TIMEOUT',
  ),
  BODY_TIMEOUT: variable('30s', timeout, 'how long the body of any other request may take'),
  MAX_MESSAGE_BYTES: variable('1m', size, 'size of a message, as JSON'),
  MAX_RESULT_BYTES: variable('16m', size, 'size of what a query may return, as PostgreSQL sends it'),
  MAX_QUERY_TOKENS: variable('5000', integer(100, 1_000_000), 'tokens of a GraphQL document'),
  MAX_QUERY_DEPTH: variable('15', integer(5, 100), 'depth of a query'),
  MAX_QUERY_ALIASES: variable('100', integer(0, 100_000), 'aliases in a query'),
  MAX_QUERY_DIRECTIVES: variable('50', integer(0, 100_000), 'directives in a query'),
  MAX_QUERY_COST: variable(
    '50000',
    integer(1_000, 1_000_000_000),
    'cost of a query: its fields, each times the items of the pages and lists that it is in',
  ),
  MAX_CONNECTIONS: variable('10000', integer(1, 1_000_000), 'connections over HTTP at a time, WebSockets included'),
  MAX_SOCKETS: variable('5000', integer(1, 1_000_000), 'WebSockets at a time'),
  MAX_SOCKETS_PER_USER: variable('1000', integer(1, 1_000_000), 'WebSockets of one user at a time'),
  MAX_SOCKET_OPERATIONS: variable(
    '100',
    integer(1, 1_000_000),
    'subscriptions and other operations at a time on one WebSocket',
  ),
  MAX_OPERATIONS_PER_USER: variable('2000', integer(1, 1_000_000), 'the same on all WebSockets of one user'),
  MAX_SOCKET_MESSAGE_BYTES: variable('64k', size, 'size of a message that a WebSocket client sends'),
  MAX_SOCKET_BACKLOG_BYTES: variable(
    '16m',
    size,
    'what may wait for a slow WebSocket client; it is dropped when more would follow',
  ),
  RATE_UPLOADS: variable('60/1h', rate, 'uploads of one user, with authentication; off for any number'),
  RATE_QUERIES: variable('600/1m', rate, "runs of runQuery and readings of a replica's schema, likewise"),
  RATE_CHATS: variable('300/1h', rate, 'chats that are created, likewise'),
  RATE_MESSAGES: variable('600/1m', rate, 'messages that are posted, likewise'),
  INTROSPECTION: variable('true', flag, 'whether clients may ask for the schema'),
  OTEL_EXPORTER_OTLP_ENDPOINT: variable(
    '',
    optionalUrl,
    'OpenTelemetry collector that traces are sent to, over HTTP; none: no traces',
  ),
  NODE_ENV: variable('', z.string(), 'production: errors give no hints at the names in the schema'),
  ALLOWED_ORIGINS: variable(
    'https://studio.apollographql.com',
    list,
    'origins beside localhost whose pages may use the API, separated by commas',
  ),
  ALLOWED_HOSTS: variable(
    '',
    list,
    'host names beside localhost by which the server may be reached, separated by commas',
  ),
  LOG_LEVEL: variable(
    'info',
    oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    'least severity that is logged',
  ),
} satisfies Record<string, Variable>;

export type Values = { [K in keyof typeof VARIABLES]: z.output<(typeof VARIABLES)[K]['schema']> };
