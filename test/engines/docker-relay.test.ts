import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import { newId } from '../../src/domain/ids.js';
import { execOutput, openRelay } from '../../src/engines/docker-relay.js';
import { DockerServer } from '../../src/engines/docker-server.js';
import { newAdmin } from '../../src/postgres/boot.js';

/** A Docker Engine that makes an exec, and then has nothing more to say. */
let engine: Server;
let docker: Dockerode;
let started = 0;

beforeAll(async () => {
  const socketPath = join(tmpdir(), `stuck-${newId()}.sock`);
  engine = createServer((request, response) => {
    if (/\/exec$/.test(request.url ?? '')) response.writeHead(201).end('{"Id":"e"}');
    else if (/\/start$/.test(request.url ?? '')) started++;
  }).listen(socketPath);
  await once(engine, 'listening');
  docker = new Dockerode({ socketPath });
});
afterAll(() => {
  engine.closeAllConnections();
  engine.close();
});

test.each([
  ['opening a relay', (signal: AbortSignal) => openRelay(docker.getContainer('c'), { waitMs: 0, signal })],
  ['a command', (signal: AbortSignal) => execOutput(docker.getContainer('c'), ['true'], signal)],
])('%s ends with its signal when the Docker Engine is stuck', async (_what, begin) => {
  const before = started;
  await expect(begin(AbortSignal.timeout(200))).rejects.toThrow();
  expect(started).toBe(before + 1);
});

test('a fault that a stuck Docker Engine does not tell is not known', async () => {
  const onRemoved = () => {};
  const server = new DockerServer({
    docker,
    name: 'c',
    image: 'i',
    admin: newAdmin(),
    cpus: 1,
    connect: 'exec',
    memoryBytes: 1,
    startTimeoutMs: 1,
    onRemoved,
  });
  expect(await server.fault()).toBeUndefined();
}, 60_000);
