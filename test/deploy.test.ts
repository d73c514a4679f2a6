import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { afterAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import { VARIABLES } from '../src/config/variables.js';
import { loadConfig } from '../src/config.js';
import { newId } from '../src/domain/ids.js';
import { presenceFolder } from '../src/engines/presence.js';
import { startApp } from './support/app.js';
import { archivesOf } from './support/archives.js';
import { dockerAvailable, testImage } from './support/docker.js';
import { dockerProxy } from './support/docker-proxy.js';
import { eventually } from './support/eventually.js';
import { localSocket } from './support/wire.js';

const dockerfile = await readFile(new URL('../Dockerfile', import.meta.url), 'utf8');
const compose = await readFile(new URL('../compose.yaml', import.meta.url), 'utf8');

describe('what compose.yaml runs', () => {
  /** Of the service replichat, as `docker compose` reads it with these in .env. */
  const given: Record<string, string> = {
    AUTH_JWKS_URL: 'https://id.example.com/keys',
    AUTH_ISSUER: 'https://id.example.com',
    AUTH_AUDIENCE: 'replichat',
    ALLOWED_HOSTS: 'replichat.example.com',
    CREDENTIALS_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}`,
    POSTGRES_PASSWORD: 'secret',
  };
  const block = /\n {2}replichat:\n([\s\S]*?)\n {2}\w+:\n/.exec(compose)?.[1] ?? '';
  const lines = [...block.matchAll(/^ {6}([A-Z_]+): (.*)$/gm)].map(
    ([, name, value]) => [name, value] as [string, string],
  );
  const image = Object.fromEntries(
    [...(/^ENV (.*)$/m.exec(dockerfile)?.[1] ?? '').matchAll(/(\w+)=(\S+)/g)].map(([, name, value]) => [name, value]),
  );
  const filled = (value: string) =>
    value.replace(
      /\$\{(\w+)(?::[?-](\w*))?\}/g,
      (_all, name: string, otherwise: string) => given[name] ?? otherwise ?? '',
    );
  const env: Record<string, string> = {
    ...image,
    ...Object.fromEntries(lines.map(([name, value]) => [name, filled(value)])),
  };

  test('knows every variable that it is given', () => {
    expect(lines.length).toBeGreaterThan(5);
    expect(Object.keys(env).filter((name) => !(name in VARIABLES) && name !== 'DOCKER_HOST')).toEqual([]);
  });

  test('starts with them: for users with tokens, durably, in production', () => {
    const config = loadConfig(env);
    expect(config).toMatchObject({ host: '0.0.0.0', port: 4000, engine: 'docker', metricsPort: 9464 });
    expect(config.auth?.issuer).toBe('https://id.example.com');
    expect(config.database?.url).toBe('postgres://replichat:secret@database:5432/replichat');
    expect(config.queries.hints).toBe(false);
  });

  test('stops it no sooner than it has had its time', () => {
    const grace = Number(/stop_grace_period: (\d+)s/.exec(compose)?.[1]);
    expect(grace * 1000).toBeGreaterThan(loadConfig(env).shutdownMs);
  });

  test('does not start it without somebody whose tokens it takes', () => {
    const { AUTH_JWKS_URL, AUTH_ISSUER, AUTH_AUDIENCE, ...rest } = env;
    expect(() => loadConfig(rest)).toThrow(/^HOST: "0.0.0.0" lets others use the server without authentication/);
    for (const name of ['AUTH_JWKS_URL', 'AUTH_ISSUER', 'AUTH_AUDIENCE', 'CREDENTIALS_KEYS', 'POSTGRES_PASSWORD']) {
      expect(compose).toContain(`\${${name}:?}`);
    }
  });
});

const available = (await dockerAvailable()) && localSocket !== undefined;
(available ? describe : describe.skip)('the socket proxy of compose.yaml', () => {
  /** As the proxy takes them: a regular expression for the whole path, of each method. */
  const flags = [...compose.matchAll(/^ {6}- -allow([A-Z]+)=(.*)$/gm)].map(([, method = '', paths = '']) => {
    const alternatives = /^\/\((.*)\)$/.exec(paths)?.[1]?.split(/\|(?![^(]*\))/) ?? [paths.slice(1)];
    return [method, alternatives.map((path) => new RegExp(`^/${path}$`))] as const;
  });
  const host = process.env.DOCKER_HOST;
  const docker = new Dockerode();
  const stops: (() => unknown)[] = [];
  afterAll(async () => {
    for (const stop of stops.reverse()) await stop();
    if (host === undefined) delete process.env.DOCKER_HOST;
    else process.env.DOCKER_HOST = host;
  });

  test('lets through what the server asks of Docker, and nothing that it does not', async () => {
    const image = (await testImage()) as string;
    const script = 'CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2);';
    const [archive] = (await archivesOf(Buffer.from(script), 'custom')) as [Buffer];
    const proxy = await dockerProxy(new Map(flags));
    stops.push(proxy.close);
    process.env.DOCKER_HOST = proxy.host;
    const env = { REPLICA_ENGINE: 'docker', REPLICA_CONNECT: 'exec', REPLICA_IMAGE: image, REPLICA_WARM: '1' };
    const app = await startApp(env);
    stops.push(() => app.app.close());

    const chatId = await app.createChat();
    for (const dump of [Buffer.from(script), archive]) {
      expect(await app.replicate(chatId, dump)).toMatchObject({ state: 'READY' });
      expect(await app.rows(chatId, 'SELECT count(*) FROM t')).toEqual([[2]]);
    }
    const [container] = await docker.listContainers({ filters: { name: [`replichat-${chatId}-`] } });
    await docker.getContainer(container?.Id as string).kill();
    const replica = async () => (await app.status(chatId))?.state;
    await eventually('the end of the container is noticed', async () => (await replica()) === 'FAILED');

    // As a container leaves it that has gone without it.
    const Labels = {
      'replichat.instance': newId(),
      'replichat.host': hostname(),
      'replichat.presence': presenceFolder(),
    };
    const volume = await docker.createVolume({ Labels });
    await app.app.engine.reap();
    await expect(volume.inspect()).rejects.toMatchObject({ statusCode: 404 });

    expect(proxy.seen.filter(({ rule }) => !rule)).toEqual([]);
    const used = new Set(proxy.seen.map(({ rule }) => rule));
    const unused = flags.flatMap(([, rules]) => rules).filter((rule) => !used.has(rule));
    // The pull of an image that is not there yet.
    expect(unused).toEqual([/^\/images\/create$/]);
  });
});
