import { readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { VARIABLES } from '../src/config/variables.js';
import { loadConfig } from '../src/config.js';

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
