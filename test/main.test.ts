import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Build, buildServer, ServerProcess } from './support/server-process.js';
import { AUTH } from './support/tokens.js';

const QUICK = { REPLICA_ENGINE: 'embedded', REPLICA_WARM: '0', GATEWAY_PORT: '0' };

let build: Build;
beforeAll(async () => {
  build = await buildServer();
});
afterAll(() => build.remove());

describe('a server that others can reach', () => {
  async function outputOf(env: Record<string, string>): Promise<string> {
    const server = await ServerProcess.start(build, { ...QUICK, ...env });
    await server.shutDown();
    return server.output.join('\n');
  }

  test('without authentication is not started', async () => {
    const child = spawn(process.execPath, [build.main], { env: { ...QUICK, HOST: '0.0.0.0' } });
    const complaint = text(child.stderr);
    const [code] = await once(child, 'exit');
    expect(code).toBe(1);
    expect(await complaint).toMatch(/^HOST: "0.0.0.0" lets others use the server without authentication; .*\n$/);
  });

  test.each(['0.0.0.0', '::'])('on %s, as ALLOW_UNAUTHENTICATED says, is loud about it', async (host) => {
    const output = await outputOf({ HOST: host, ALLOW_UNAUTHENTICATED: 'true' });
    expect(output).toMatch(/WARNING +Whoever reaches this server owns it/);
    expect(output).toMatch(/"level":40,.*whoever reaches this server owns it/);
  });

  test('with authentication says whose tokens it takes, and warns of nothing', async () => {
    const output = await outputOf({ HOST: '0.0.0.0', ...AUTH });
    expect(output).toContain('Access        by tokens of https://id.example');
    expect(output).not.toMatch(/warning|"level":40/i);
  });
});

test('a shutdown takes no longer than SHUTDOWN_TIMEOUT, whatever is still open', async () => {
  const server = await ServerProcess.start(build, { ...QUICK, SHUTDOWN_TIMEOUT: '1s' });
  const client = connect(server.client.port, '127.0.0.1').on('error', () => {});
  client.write(
    'POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
  );
  await once(client, 'connect');
  await fetch(`http://127.0.0.1:${server.client.port}/healthz`);
  await server.shutDown();
  expect(server.output.join('\n')).toContain('the shutdown took longer than SHUTDOWN_TIMEOUT');
});

test('a server of one user says where the console is, first, and that it is one user', async () => {
  const server = await ServerProcess.start(build, QUICK);
  await server.shutDown();
  const [listening, , first] = server.output.slice(server.output.indexOf('  Replichat is listening.'));
  expect([listening, first]).toEqual([
    '  Replichat is listening.',
    `  Console       http://localhost:${server.client.port}/`,
  ]);
  expect(server.output.join('\n')).toContain('Access        without authentication: one user');
  expect(server.output.join('\n')).not.toMatch(/warning/i);
});
