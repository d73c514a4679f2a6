import { VARIABLES, type Values, type Variable } from './config/variables.js';

export interface Config {
  readonly port: number;
  readonly host: string;
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
  readonly maxSpoolBytes: number;
  readonly maxUploadBytes: number;
  readonly maxUnpackedBytes: number;
  readonly uploadIdleMs: number;
  readonly maxMessageBytes: number;
  readonly allowedOrigins: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly logLevel: Values['LOG_LEVEL'];
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
    host: values.HOST,
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
    maxSpoolBytes: values.MAX_SPOOL_BYTES,
    maxUploadBytes: values.MAX_UPLOAD_BYTES,
    maxUnpackedBytes: values.MAX_UNPACKED_BYTES,
    uploadIdleMs: values.UPLOAD_IDLE_TIMEOUT * 1000,
    maxMessageBytes: values.MAX_MESSAGE_BYTES,
    allowedOrigins: Object.freeze(values.ALLOWED_ORIGINS),
    allowedHosts: Object.freeze(values.ALLOWED_HOSTS),
    logLevel: values.LOG_LEVEL,
  });
}

function tlsOf({ GATEWAY_TLS_CERT: cert, GATEWAY_TLS_KEY: key }: Values): Config['gateway']['tls'] {
  if (!cert && !key) return undefined;
  if (cert && key) return Object.freeze({ cert, key });
  const [missing, given] = cert ? ['GATEWAY_TLS_KEY', 'GATEWAY_TLS_CERT'] : ['GATEWAY_TLS_CERT', 'GATEWAY_TLS_KEY'];
  throw new ConfigError(`${missing}: is missing; give both it and ${given}, or none`);
}

function read(name: string, { schema, byDefault }: Variable, value: string | undefined): unknown {
  const result = schema.safeParse(value?.trim() || byDefault);
  if (result.success) return result.data;
  throw new ConfigError(`${name}: ${JSON.stringify(value)} ${result.error.issues[0]?.message}`);
}

/** The variables, for --help. */
export function describeVariables(): string {
  return Object.entries<Variable>(VARIABLES)
    .map(([name, { byDefault, description }]) => `  ${name.padEnd(25)} ${description}${byDefault && ` [${byDefault}]`}`)
    .join('\n');
}
