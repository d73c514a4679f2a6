import { availableParallelism } from 'node:os';
import { z } from 'zod';

const UNITS = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };
const SECONDS = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 };

/** Bytes as Docker writes them: 512m, 2g. */
const size = z.string().transform((text, context) => {
  const match = /^(\d+)\s*([kmgt]?)(?:i?b)?$/i.exec(text);
  if (match) return Number(match[1]) * UNITS[(match[2] as string).toLowerCase() as keyof typeof UNITS];
  context.addIssue('is no size; write a number of bytes, or 512k, 512m, 2g');
  return z.NEVER;
});

const memory = size.refine((bytes) => bytes >= 128 * UNITS.m, 'is too little; a replica needs at least 128m');

const duration = z.string().transform((text, context) => {
  const match = /^(\d+)\s*([smhd]?)$/i.exec(text);
  if (match) return Number(match[1]) * SECONDS[(match[2] as string).toLowerCase() as keyof typeof SECONDS];
  context.addIssue('is no duration; write a number of seconds, or 90s, 30m, 12h, 7d');
  return z.NEVER;
});

/** What a timer of Node can wait for: it takes more than 2^31 ms for none. */
const timeout = duration.refine((seconds) => seconds >= 1 && seconds <= 24 * SECONDS.d, {
  error: 'is out of range; give 1s to 24d',
});

const integer = (least: number, most: number) => {
  const error = `is out of range; give a whole number from ${least} to ${most}`;
  return z.coerce
    .number(error)
    .refine((value) => Number.isInteger(value) && value >= least && value <= most, { error });
};

const PORT_ERROR = 'is no TCP port; give one from 0 to 65535, auto or off';
const gatewayPort = z
  .string()
  .transform((text) => (text === 'auto' || text === 'off' ? text : Number(text)))
  .refine((port) => typeof port === 'string' || (Number.isInteger(port) && port >= 0 && port <= 65_535), {
    error: PORT_ERROR,
  });

const MACHINE_CPUS = availableParallelism();
const CPUS_ERROR = `is no number of CPUs; give 0 to ${MACHINE_CPUS}, which this machine has`;
const cpus = z.coerce.number(CPUS_ERROR).min(0, CPUS_ERROR).max(MACHINE_CPUS, CPUS_ERROR);

const oneOf = <const T extends readonly string[]>(...values: T) =>
  z.enum(values, { error: `is unknown; give one of ${values.join(', ')}` });

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);

interface Variable {
  readonly schema: z.ZodType;
  /** As it would be written in the environment. */
  readonly byDefault: string;
  readonly description: string;
}

function variable<T>(byDefault: string, schema: z.ZodType<T>, description: string) {
  return { schema, byDefault, description };
}

/** Every variable of the environment that is read; DOCKER_HOST and its like are Docker's own. */
export const VARIABLES = {
  PORT: variable('4000', integer(0, 65535), 'TCP port to listen on; 0 takes a free one'),
  HOST: variable('127.0.0.1', z.string().min(1, 'is empty'), 'address to listen on; there is no authentication yet'),
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
  MAX_SPOOL_BYTES: variable(
    '4g',
    size,
    'disk in the temporary folder for what one upload is ahead of its restore; the upload waits beyond it',
  ),
  MAX_UPLOAD_BYTES: variable('10g', size, 'size of an uploaded file'),
  MAX_UNPACKED_BYTES: variable('50g', size, 'size of the script in a compressed file or an archive'),
  UPLOAD_IDLE_TIMEOUT: variable('60s', timeout, 'how long an upload may stand still'),
  MAX_MESSAGE_BYTES: variable('1m', size, 'size of a message, as JSON'),
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

type Values = { [K in keyof typeof VARIABLES]: z.output<(typeof VARIABLES)[K]['schema']> };

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
    .map(([name, { byDefault, description }]) => `  ${name.padEnd(20)} ${description}${byDefault && ` [${byDefault}]`}`)
    .join('\n');
}
