import { KeyObject } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { describe, expect, test } from '@jest/globals';
import { VARIABLES } from '../src/config/variables.js';
import { type Config, ConfigError, describeVariables, loadConfig } from '../src/config.js';

const GiB = 1024 ** 3;

const DEFAULTS: Config = {
  port: 4000,
  metricsPort: undefined,
  shutdownMs: 20_000,
  traces: undefined,
  host: '127.0.0.1',
  auth: undefined,
  database: undefined,
  gateway: { port: 'auto', host: undefined, tls: undefined, maxConnections: 5000 },
  engine: 'auto',
  replica: {
    image: 'postgres:{major}',
    connect: 'auto',
    defaultMajor: 17,
    memoryBytes: GiB,
    cpus: undefined,
    diskBytes: 20 * GiB,
    ttlSeconds: 86_400,
    warm: 1,
  },
  restoreTimeoutMs: 3_600_000,
  maxReplicas: 20,
  maxReplicasPerOwner: undefined,
  maxReplicasMemoryBytes: undefined,
  maxReplicasDiskBytes: undefined,
  maxSpoolBytes: 4 * 1024 ** 3,
  maxUploadBytes: 10 * GiB,
  maxUnpackedBytes: 50 * GiB,
  uploadIdleMs: 60_000,
  minUploadBytes: 1024,
  bodyTimeoutMs: 30_000,
  maxMessageBytes: 1024 ** 2,
  maxResultBytes: 16 * 2 ** 20,
  queries: {
    tokens: 5_000,
    depth: 15,
    aliases: 100,
    directives: 50,
    cost: 50_000,
    introspection: true,
    hints: true,
  },
  maxConnections: 10_000,
  sockets: {
    all: 5_000,
    perUser: 1_000,
    operations: 100,
    operationsPerUser: 2_000,
    messageBytes: 65_536,
    backlogBytes: 16 * 1024 ** 2,
  },
  rates: {
    uploads: { count: 60, seconds: 3_600 },
    queries: { count: 600, seconds: 60 },
    chats: { count: 300, seconds: 3_600 },
    messages: { count: 600, seconds: 60 },
  },
  allowedOrigins: ['https://studio.apollographql.com'],
  allowedHosts: [],
  logLevel: 'info',
};

describe('the configuration', () => {
  test('has a default for everything', () => {
    expect(loadConfig({})).toEqual(DEFAULTS);
  });

  test.each(['', ' ', '\n'])('takes %j for absent', (blank) => {
    const env = Object.fromEntries(Object.keys(VARIABLES).map((name) => [name, blank]));
    expect(loadConfig(env)).toEqual(DEFAULTS);
  });

  test('ignores what it does not know', () => {
    expect(loadConfig({ PATH: '/bin', REPLICA_COLOUR: 'red' })).toEqual(DEFAULTS);
  });

  test('cannot be changed', () => {
    const config = loadConfig({});
    for (const part of [
      config,
      config.gateway,
      config.replica,
      config.queries,
      config.sockets,
      config.rates,
      config.allowedOrigins,
      config.allowedHosts,
    ]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  test.each<[string, string, unknown, (config: Config) => unknown]>([
    ['PORT', '0', 0, (config) => config.port],
    ['PORT', ' 8080 ', 8080, (config) => config.port],
    ['PORT', '65535', 65_535, (config) => config.port],
    ['METRICS_PORT', '9464', 9464, (config) => config.metricsPort],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://c:4318', new URL('http://c:4318'), (config) => config.traces],
    ['SHUTDOWN_TIMEOUT', '5s', 5_000, (config) => config.shutdownMs],
    ['HOST', '::1', '::1', (config) => config.host],
    ['HOST', 'localhost', 'localhost', (config) => config.host],
    ['HOST', '127.1.2.3', '127.1.2.3', (config) => config.host],
    ['GATEWAY_PORT', '0', 0, (config) => config.gateway.port],
    ['GATEWAY_PORT', '5433', 5433, (config) => config.gateway.port],
    ['GATEWAY_PORT', 'off', 'off', (config) => config.gateway.port],
    ['GATEWAY_HOST', 'db.example.com', 'db.example.com', (config) => config.gateway.host],
    ['GATEWAY_MAX_CONNECTIONS', '10', 10, (config) => config.gateway.maxConnections],
    ['REPLICA_ENGINE', 'embedded', 'embedded', (config) => config.engine],
    ['REPLICA_IMAGE', 'r.example/pg:{major}', 'r.example/pg:{major}', (config) => config.replica.image],
    ['REPLICA_MAJOR', '14', 14, (config) => config.replica.defaultMajor],
    ['REPLICA_MEMORY', '128m', GiB / 8, (config) => config.replica.memoryBytes],
    ['REPLICA_MEMORY', '2GB', 2 * GiB, (config) => config.replica.memoryBytes],
    ['REPLICA_MEMORY', '2 GiB', 2 * GiB, (config) => config.replica.memoryBytes],
    ['REPLICA_MEMORY', '1073741824', GiB, (config) => config.replica.memoryBytes],
    ['REPLICA_CPUS', '0', undefined, (config) => config.replica.cpus],
    ['REPLICA_CPUS', '0.5', 0.5, (config) => config.replica.cpus],
    ['REPLICA_DISK', '1t', 1024 * GiB, (config) => config.replica.diskBytes],
    ['REPLICA_TTL', '0', null, (config) => config.replica.ttlSeconds],
    ['REPLICA_TTL', '90', 90, (config) => config.replica.ttlSeconds],
    ['REPLICA_TTL', '90S', 90, (config) => config.replica.ttlSeconds],
    ['REPLICA_TTL', '30m', 1800, (config) => config.replica.ttlSeconds],
    ['REPLICA_TTL', '7d', 604_800, (config) => config.replica.ttlSeconds],
    ['RESTORE_TIMEOUT', '24d', 24 * 86_400_000, (config) => config.restoreTimeoutMs],
    ['UPLOAD_IDLE_TIMEOUT', '1', 1000, (config) => config.uploadIdleMs],
    ['MAX_REPLICAS', '1', 1, (config) => config.maxReplicas],
    ['MAX_REPLICAS_PER_OWNER', '3', 3, (config) => config.maxReplicasPerOwner],
    ['MAX_REPLICAS_MEMORY', '1g', GiB, (config) => config.maxReplicasMemoryBytes],
    ['MAX_REPLICAS_DISK', '50g', 50 * GiB, (config) => config.maxReplicasDiskBytes],
    ['MIN_UPLOAD_RATE', '0', 0, (config) => config.minUploadBytes],
    ['BODY_TIMEOUT', '5s', 5_000, (config) => config.bodyTimeoutMs],
    ['MAX_QUERY_ALIASES', '0', 0, (config) => config.queries.aliases],
    ['MAX_QUERY_COST', '1000', 1_000, (config) => config.queries.cost],
    ['INTROSPECTION', 'false', false, (config) => config.queries.introspection],
    ['NODE_ENV', 'production', false, (config) => config.queries.hints],
    ['NODE_ENV', 'development', true, (config) => config.queries.hints],
    ['MAX_SOCKET_BACKLOG_BYTES', '1m', 1024 ** 2, (config) => config.sockets.backlogBytes],
    ['RATE_UPLOADS', 'off', undefined, (config) => config.rates.uploads],
    ['RATE_QUERIES', '10/1s', { count: 10, seconds: 1 }, (config) => config.rates.queries],
    ['MAX_UPLOAD_BYTES', '512k', 512 * 1024, (config) => config.maxUploadBytes],
    ['MAX_MESSAGE_BYTES', '100b', 100, (config) => config.maxMessageBytes],
    ['MAX_RESULT_BYTES', '2m', 2 * 2 ** 20, (config) => config.maxResultBytes],
    [
      'ALLOWED_ORIGINS',
      'https://a.example, https://b.example,',
      ['https://a.example', 'https://b.example'],
      (config) => config.allowedOrigins,
    ],
    ['ALLOWED_ORIGINS', ',', [], (config) => config.allowedOrigins],
    ['ALLOWED_HOSTS', 'a.example', ['a.example'], (config) => config.allowedHosts],
    ['LOG_LEVEL', 'silent', 'silent', (config) => config.logLevel],
  ])('reads %s=%s', (name, value, expected, read) => {
    expect(read(loadConfig({ [name]: value }))).toEqual(expected);
  });

  const PORT_RANGE = 'is out of range; give a whole number from 0 to 65535';
  const GATEWAY_PORT = 'is no TCP port; give one from 0 to 65535, auto or off';
  const SIZE = 'is no size; write a number of bytes, or 512k, 512m, 2g';
  const DURATION = 'is no duration; write a number of seconds, or 90s, 30m, 12h, 7d';
  const TIMEOUT = 'is out of range; give 1s to 24d';
  const CPUS = `is no number of CPUs; give 0 to ${availableParallelism()}, which this machine has`;
  const RATE = 'is no rate; write how many in which time, as 60/1h, or off';
  const ENGINE = 'is unknown; give one of auto, docker, embedded';

  test.each<[string, string, string]>([
    ['PORT', 'http', PORT_RANGE],
    ['PORT', '-1', PORT_RANGE],
    ['PORT', '65536', PORT_RANGE],
    ['PORT', '80.5', PORT_RANGE],
    ['PORT', 'Infinity', PORT_RANGE],
    ['PORT', '80\n81', PORT_RANGE],
    ['GATEWAY_PORT', 'on', GATEWAY_PORT],
    ['GATEWAY_PORT', '65536', GATEWAY_PORT],
    ['GATEWAY_PORT', '5433.5', GATEWAY_PORT],
    ['REPLICA_ENGINE', 'podman', ENGINE],
    ['REPLICA_ENGINE', 'Docker', ENGINE],
    ['REPLICA_MAJOR', '13', 'is out of range; give a whole number from 14 to 99'],
    ['REPLICA_MAJOR', 'latest', 'is out of range; give a whole number from 14 to 99'],
    ['REPLICA_MEMORY', 'much', SIZE],
    ['REPLICA_MEMORY', '-1g', SIZE],
    ['REPLICA_MEMORY', '1.5g', SIZE],
    ['REPLICA_MEMORY', '1x', SIZE],
    ['REPLICA_MEMORY', '127m', 'is too little; a replica needs at least 128m'],
    ['REPLICA_CPUS', 'all', CPUS],
    ['REPLICA_CPUS', '-1', CPUS],
    ['REPLICA_CPUS', '100000', CPUS],
    ['REPLICA_DISK', 'big', SIZE],
    ['REPLICA_TTL', 'forever', DURATION],
    ['REPLICA_TTL', '-1', DURATION],
    ['REPLICA_TTL', '1w', DURATION],
    ['REPLICA_TTL', '1h30m', DURATION],
    ['RESTORE_TIMEOUT', 'never', DURATION],
    ['RESTORE_TIMEOUT', '0', TIMEOUT],
    ['RESTORE_TIMEOUT', '25d', TIMEOUT],
    ['UPLOAD_IDLE_TIMEOUT', '0', TIMEOUT],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318', 'is no URL of http or https'],
    ['METRICS_PORT', 'on', 'is no TCP port; give one from 0 to 65535, where 0 takes a free one'],
    ['RATE_CHATS', '10', RATE],
    ['RATE_CHATS', '0/1h', RATE],
    ['RATE_CHATS', '10/0', RATE],
    ['RATE_CHATS', '10/1h/2', RATE],
    ['RATE_CHATS', 'none', RATE],
    ['MAX_QUERY_DEPTH', '4', 'is out of range; give a whole number from 5 to 100'],
    ['INTROSPECTION', 'off', 'is unknown; give one of true, false'],
    ['MAX_REPLICAS', '0', 'is out of range; give a whole number from 1 to 10000'],
    ['MAX_REPLICAS_PER_OWNER', '-1', 'is out of range; give a whole number from 0 to 10000'],
    ['MAX_REPLICAS_MEMORY', 'all', SIZE],
    ['MAX_REPLICAS_DISK', 'all', SIZE],
    ['MAX_UPLOAD_BYTES', '10 apples', SIZE],
    ['MAX_MESSAGE_BYTES', '?', SIZE],
    ['MAX_RESULT_BYTES', 'much', SIZE],
    ['LOG_LEVEL', 'verbose', 'is unknown; give one of trace, debug, info, warn, error, fatal, silent'],
  ])('refuses %s=%j in one line that names the variable and the remedy', (name, value, problem) => {
    expect(() => loadConfig({ [name]: value })).toThrow(
      expect.objectContaining({ name: 'ConfigError', message: `${name}: ${JSON.stringify(value)} ${problem}` }),
    );
    expect(messageOf({ [name]: value })).not.toContain('\n');
  });

  test.each([
    ['MAX_REPLICAS_MEMORY', 'REPLICA_MEMORY', '1023m'],
    ['MAX_REPLICAS_DISK', 'REPLICA_DISK', '19g'],
  ])('refuses %s that no replica fits into', (all, each, value) => {
    expect(messageOf({ [all]: value })).toBe(
      `${all}: is too little for one replica; give ${each} or more, or lower that`,
    );
    expect(() => loadConfig({ [all]: value, [each]: value })).not.toThrow();
  });

  const SECRET = '0123456789abcdef0123456789abcdef';
  const TOKENS = { AUTH_ISSUER: 'https://id.example', AUTH_AUDIENCE: 'replichat' };

  test('verifies tokens with a secret or with the keys of a URL', () => {
    const { auth } = loadConfig({ ...TOKENS, AUTH_JWT_SECRET: SECRET });
    expect(auth).toEqual({ key: expect.any(KeyObject), issuer: 'https://id.example', audience: 'replichat' });
    expect((auth as { key: KeyObject }).key.export().toString()).toBe(SECRET);
    for (const url of ['https://id.example/keys', 'http://localhost:9000/keys', 'http://[::1]/keys']) {
      expect(loadConfig({ ...TOKENS, AUTH_JWKS_URL: url }).auth?.key).toEqual(new URL(url));
    }
  });

  test.each<[string, Record<string, string>]>([
    ['AUTH_JWT_SECRET: has 31 bytes; give 32 or more random ones', { ...TOKENS, AUTH_JWT_SECRET: SECRET.slice(1) }],
    [
      'AUTH_JWKS_URL: is given beside AUTH_JWT_SECRET; give one of them',
      { ...TOKENS, AUTH_JWT_SECRET: SECRET, AUTH_JWKS_URL: 'https://id.example/keys' },
    ],
    ['AUTH_ISSUER: is given without a key; give AUTH_JWT_SECRET or AUTH_JWKS_URL, too', { AUTH_ISSUER: 'x' }],
    ['AUTH_AUDIENCE: is given without a key; give AUTH_JWT_SECRET or AUTH_JWKS_URL, too', { AUTH_AUDIENCE: 'x' }],
    ['AUTH_ISSUER: is missing; give the iss that tokens have', { AUTH_JWT_SECRET: SECRET, AUTH_AUDIENCE: 'x' }],
    [
      'AUTH_AUDIENCE: is missing; give the aud that tokens for this server have',
      { AUTH_JWT_SECRET: SECRET, AUTH_ISSUER: 'x' },
    ],
    [
      'AUTH_JWKS_URL: "http://id.example/keys" is no URL of https, or of http on this machine',
      { ...TOKENS, AUTH_JWKS_URL: 'http://id.example/keys' },
    ],
    ['ALLOW_UNAUTHENTICATED: "yes" is unknown; give one of true, false', { ALLOW_UNAUTHENTICATED: 'yes' }],
  ])('says %s', (message, env) => {
    expect(messageOf(env)).toBe(message);
  });

  test.each(['0.0.0.0', '::', '10.1.2.3', 'example.com', '0', 'localhost.example.com', '127.0.0.1.example.com'])(
    'listens on %s with authentication, or when it is meant to be open, and else not at all',
    (host) => {
      expect(messageOf({ HOST: host })).toBe(
        `HOST: "${host}" lets others use the server without authentication; ` +
          'set AUTH_JWT_SECRET or AUTH_JWKS_URL, or, if that is meant, ALLOW_UNAUTHENTICATED=true',
      );
      expect(loadConfig({ HOST: host, ALLOW_UNAUTHENTICATED: 'true' }).host).toBe(host);
      expect(loadConfig({ HOST: host, ...TOKENS, AUTH_JWT_SECRET: SECRET }).host).toBe(host);
    },
  );

  test('takes a certificate with its key, or neither', () => {
    const files = { cert: '/tls/cert.pem', key: '/tls/key.pem' };
    const env = { GATEWAY_TLS_CERT: files.cert, GATEWAY_TLS_KEY: files.key };
    expect(loadConfig(env).gateway.tls).toEqual(files);
    expect(messageOf({ GATEWAY_TLS_CERT: files.cert })).toBe(
      'GATEWAY_TLS_KEY: is missing; give both it and GATEWAY_TLS_CERT, or none',
    );
    expect(messageOf({ GATEWAY_TLS_KEY: files.key })).toBe(
      'GATEWAY_TLS_CERT: is missing; give both it and GATEWAY_TLS_KEY, or none',
    );
  });

  const [FIRST, SECOND] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  const KEYS = `2026-a:${FIRST.toString('base64')}, b_2:${SECOND.toString('base64')}`;
  const DATABASE = 'postgres://me:c4nary@db.example/replichat';

  test('takes a database with the keys for its passwords', () => {
    expect(loadConfig({ DATABASE_URL: DATABASE, CREDENTIALS_KEYS: KEYS }).database).toEqual({
      url: DATABASE,
      keys: [
        { id: '2026-a', secret: FIRST },
        { id: 'b_2', secret: SECOND },
      ],
    });
    expect(loadConfig({ CREDENTIALS_KEYS: KEYS }).database).toBeUndefined();
    expect(messageOf({ DATABASE_URL: DATABASE })).toMatch(/^CREDENTIALS_KEYS: is missing; DATABASE_URL needs it/);
  });

  test.each([
    ['DATABASE_URL', 'mysql://me:c4nary@db.example/replichat', /is no URL of a PostgreSQL database/],
    ['DATABASE_URL', 'c4nary', /is no URL of a PostgreSQL database/],
    ['DATABASE_URL', 'postgres://c4nary:c4nary:c4nary', /is no URL of a PostgreSQL database/],
    ['CREDENTIALS_KEYS', 'c4nary', /is not id:key; give .* 32 bytes in base64/],
    ['CREDENTIALS_KEYS', `k1:${FIRST.toString('hex')}`, /is not id:key/],
    ['CREDENTIALS_KEYS', `k 1:${FIRST.toString('base64')}`, /is not id:key/],
    ['CREDENTIALS_KEYS', `k1:${FIRST.subarray(1).toString('base64')}`, /is not id:key/],
    ['CREDENTIALS_KEYS', `b_2:${FIRST.toString('base64')},${KEYS}`, /names two keys alike/],
  ])('refuses a bad %s without repeating it: %s', (name, value, problem) => {
    const message = messageOf({ [name]: value });
    expect(message).toMatch(problem);
    expect(message.startsWith(`${name}: `)).toBe(true);
    expect(message).not.toContain(value);
    expect(message).not.toContain('c4nary');
    expect(message).not.toContain('\n');
  });

  test('describes every variable in a line, with its default', () => {
    const lines = describeVariables().split('\n');
    expect(lines).toHaveLength(Object.keys(VARIABLES).length);
    Object.entries(VARIABLES).forEach(([name, { byDefault, description }], index) => {
      expect(lines[index]).toContain(`  ${name} `);
      expect(lines[index]).toContain(description);
      if (byDefault) expect(lines[index]).toContain(`[${byDefault}]`);
    });
  });
});

function messageOf(env: Record<string, string>): string {
  try {
    loadConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  throw new Error('was accepted');
}
