import { createSecretKey, type KeyObject } from 'node:crypto';
import { type CredentialsKey, isLoopback, type Rate } from './config/values.js';
import { VARIABLES, type Values, type Variable } from './config/variables.js';

export interface Config {
  readonly port: number;
  /** Undefined for none of its own. */
  readonly metricsPort: number | undefined;
  readonly shutdownMs: number;
  /** Undefined for no traces. */
  readonly traces: URL | undefined;
  readonly host: string;
  /** Undefined for a server of one user, who needs no token. */
  readonly auth: AuthConfig | undefined;
  /** Undefined: everything is kept in memory. */
  readonly database:
    | { readonly url: string; readonly keys: readonly [CredentialsKey, ...CredentialsKey[]] }
    | undefined;
  readonly gateway: {
    readonly port: number | 'auto' | 'off';
    /** As clients are told; undefined for `host`. */
    readonly host: string | undefined;
    /** Paths of PEM files. */
    readonly tls: { readonly cert: string; readonly key: string } | undefined;
    readonly maxConnections: number;
  };
  readonly engine: Values['REPLICA_ENGINE'];
  readonly replica: {
    readonly image: string;
    readonly connect: 'auto' | 'exec';
    readonly defaultMajor: number;
    readonly memoryBytes: number;
    readonly cpus: number | undefined;
    readonly diskBytes: number;
    readonly ttlSeconds: number | null;
    readonly warm: number;
  };
  readonly restoreTimeoutMs: number;
  readonly maxReplicas: number;
  readonly maxReplicasPerOwner: number | undefined;
  readonly maxReplicasMemoryBytes: number | undefined;
  readonly maxReplicasDiskBytes: number | undefined;
  readonly maxSpoolBytes: number;
  readonly maxUploadBytes: number;
  readonly maxUnpackedBytes: number;
  readonly uploadIdleMs: number;
  /** Per second. */
  readonly minUploadBytes: number;
  readonly bodyTimeoutMs: number;
  readonly maxMessageBytes: number;
  readonly maxResultBytes: number;
  readonly queries: {
    readonly tokens: number;
    readonly depth: number;
    readonly aliases: number;
    readonly directives: number;
    readonly cost: number;
    readonly introspection: boolean;
    /** Errors name what the schema has in the place of a wrong name. */
    readonly hints: boolean;
  };
  readonly maxConnections: number;
  readonly sockets: {
    readonly all: number;
    readonly perUser: number;
    readonly operations: number;
    readonly operationsPerUser: number;
    readonly messageBytes: number;
    readonly backlogBytes: number;
  };
  /** Of one user; undefined for no limit. */
  readonly rates: Readonly<Record<'uploads' | 'queries' | 'chats' | 'messages', Rate | undefined>>;
  readonly allowedOrigins: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly logLevel: Values['LOG_LEVEL'];
}

export interface AuthConfig {
  /** What the signature of a token is verified with: a shared secret, or the keys that the URL gives. */
  readonly key: KeyObject | URL;
  readonly issuer: string;
  readonly audience: string;
}

/** Its message is one line for whoever starts the server. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Throws ConfigError that names the first variable with a value that cannot be. */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const values = Object.fromEntries(
    Object.entries<Variable>(VARIABLES).map(([name, entry]) => [name, read(name, entry, env[name])]),
  ) as Values;
  return Object.freeze({
    port: values.PORT,
    metricsPort: values.METRICS_PORT,
    shutdownMs: values.SHUTDOWN_TIMEOUT * 1000,
    traces: values.OTEL_EXPORTER_OTLP_ENDPOINT,
    host: hostOf(values),
    auth: authOf(values),
    database: databaseOf(values),
    gateway: Object.freeze({
      port: values.GATEWAY_PORT,
      host: values.GATEWAY_HOST || undefined,
      tls: tlsOf(values),
      maxConnections: values.GATEWAY_MAX_CONNECTIONS,
    }),
    engine: values.REPLICA_ENGINE,
    replica: Object.freeze({
      image: values.REPLICA_IMAGE,
      connect: values.REPLICA_CONNECT,
      defaultMajor: values.REPLICA_MAJOR,
      memoryBytes: values.REPLICA_MEMORY,
      cpus: values.REPLICA_CPUS || undefined,
      diskBytes: values.REPLICA_DISK,
      ttlSeconds: values.REPLICA_TTL || null,
      warm: values.REPLICA_WARM,
    }),
    restoreTimeoutMs: values.RESTORE_TIMEOUT * 1000,
    maxReplicas: values.MAX_REPLICAS,
    maxReplicasPerOwner: values.MAX_REPLICAS_PER_OWNER || undefined,
    maxReplicasMemoryBytes: roomFor(values, 'MAX_REPLICAS_MEMORY', 'REPLICA_MEMORY'),
    maxReplicasDiskBytes: roomFor(values, 'MAX_REPLICAS_DISK', 'REPLICA_DISK'),
    maxSpoolBytes: values.MAX_SPOOL_BYTES,
    maxUploadBytes: values.MAX_UPLOAD_BYTES,
    maxUnpackedBytes: values.MAX_UNPACKED_BYTES,
    uploadIdleMs: values.UPLOAD_IDLE_TIMEOUT * 1000,
    minUploadBytes: values.MIN_UPLOAD_RATE,
    bodyTimeoutMs: values.BODY_TIMEOUT * 1000,
    maxMessageBytes: values.MAX_MESSAGE_BYTES,
    maxResultBytes: values.MAX_RESULT_BYTES,
    queries: Object.freeze({
      tokens: values.MAX_QUERY_TOKENS,
      depth: values.MAX_QUERY_DEPTH,
      aliases: values.MAX_QUERY_ALIASES,
      directives: values.MAX_QUERY_DIRECTIVES,
      cost: values.MAX_QUERY_COST,
      introspection: values.INTROSPECTION,
      hints: values.NODE_ENV !== 'production',
    }),
    maxConnections: values.MAX_CONNECTIONS,
    sockets: Object.freeze({
      all: values.MAX_SOCKETS,
      perUser: values.MAX_SOCKETS_PER_USER,
      operations: values.MAX_SOCKET_OPERATIONS,
      operationsPerUser: values.MAX_OPERATIONS_PER_USER,
      messageBytes: values.MAX_SOCKET_MESSAGE_BYTES,
      backlogBytes: values.MAX_SOCKET_BACKLOG_BYTES,
    }),
    rates: Object.freeze({
      uploads: values.RATE_UPLOADS,
      queries: values.RATE_QUERIES,
      chats: values.RATE_CHATS,
      messages: values.RATE_MESSAGES,
    }),
    allowedOrigins: Object.freeze(values.ALLOWED_ORIGINS),
    allowedHosts: Object.freeze(values.ALLOWED_HOSTS),
    logLevel: values.LOG_LEVEL,
  });
}

/** Of all replicas together: room for one at least. */
function roomFor(
  values: Values,
  all: 'MAX_REPLICAS_MEMORY' | 'MAX_REPLICAS_DISK',
  each: 'REPLICA_MEMORY' | 'REPLICA_DISK',
): number | undefined {
  if (values[all] === 0) return undefined;
  if (values[all] >= values[each]) return values[all];
  throw new ConfigError(`${all}: is too little for one replica; give ${each} or more, or lower that`);
}

const LEAST_SECRET_BYTES = 32;

/** Never with the secret in a message. */
function authOf(values: Values): AuthConfig | undefined {
  const { AUTH_JWT_SECRET: secret, AUTH_JWKS_URL: url, AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience } = values;
  if (secret && url) throw new ConfigError('AUTH_JWKS_URL: is given beside AUTH_JWT_SECRET; give one of them');
  if (!secret && !url) {
    if (!issuer && !audience) return undefined;
    const given = issuer ? 'AUTH_ISSUER' : 'AUTH_AUDIENCE';
    throw new ConfigError(`${given}: is given without a key; give AUTH_JWT_SECRET or AUTH_JWKS_URL, too`);
  }
  const bytes = Buffer.byteLength(secret);
  if (secret && bytes < LEAST_SECRET_BYTES)
    throw new ConfigError(`AUTH_JWT_SECRET: has ${bytes} bytes; give ${LEAST_SECRET_BYTES} or more random ones`);
  if (!issuer) throw new ConfigError('AUTH_ISSUER: is missing; give the iss that tokens have');
  if (!audience) throw new ConfigError('AUTH_AUDIENCE: is missing; give the aud that tokens for this server have');
  return Object.freeze({ key: url ?? createSecretKey(secret, 'utf8'), issuer, audience });
}

function hostOf({ HOST: host, AUTH_JWT_SECRET, AUTH_JWKS_URL, ALLOW_UNAUTHENTICATED: isAllowed }: Values): string {
  if (isLoopback(host) || AUTH_JWT_SECRET || AUTH_JWKS_URL || isAllowed) return host;
  const remedy = 'set AUTH_JWT_SECRET or AUTH_JWKS_URL, or, if that is meant, ALLOW_UNAUTHENTICATED=true';
  throw new ConfigError(`HOST: ${JSON.stringify(host)} lets others use the server without authentication; ${remedy}`);
}

function databaseOf({ DATABASE_URL: url, CREDENTIALS_KEYS: keys }: Values): Config['database'] {
  if (!url) return undefined;
  const [first, ...others] = keys;
  if (first) return Object.freeze({ url, keys: Object.freeze([first, ...others] as const) });
  const example = 'CREDENTIALS_KEYS="k1:$(openssl rand -base64 32)"';
  throw new ConfigError(`CREDENTIALS_KEYS: is missing; DATABASE_URL needs it to encrypt passwords: ${example}`);
}

function tlsOf({ GATEWAY_TLS_CERT: cert, GATEWAY_TLS_KEY: key }: Values): Config['gateway']['tls'] {
  if (!cert && !key) return undefined;
  if (cert && key) return Object.freeze({ cert, key });
  const [missing, given] = cert ? ['GATEWAY_TLS_KEY', 'GATEWAY_TLS_CERT'] : ['GATEWAY_TLS_CERT', 'GATEWAY_TLS_KEY'];
  throw new ConfigError(`${missing}: is missing; give both it and ${given}, or none`);
}

function read(name: string, { schema, byDefault, secret }: Variable, value: string | undefined): unknown {
  const result = schema.safeParse(value?.trim() || byDefault);
  if (result.success) return result.data;
  const shown = secret ? '' : `${JSON.stringify(value)} `;
  throw new ConfigError(`${name}: ${shown}${result.error.issues[0]?.message}`);
}

/** The variables, for --help. */
export function describeVariables(): string {
  return Object.entries<Variable>(VARIABLES)
    .map(([name, { byDefault, description }]) => `  ${name.padEnd(25)} ${description}${byDefault && ` [${byDefault}]`}`)
    .join('\n');
}
