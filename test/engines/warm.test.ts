import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import pg from 'pg';
import { pino } from 'pino';
import { newId } from '../../src/domain/ids.js';
import { DockerEngine, type DockerEngineOptions } from '../../src/engines/docker.js';
import { EmbeddedEngine } from '../../src/engines/embedded.js';
import { processesOf } from '../../src/engines/processes.js';
import { WarmEngine, type WarmEngineOptions } from '../../src/engines/warm.js';
import type { ReplicaEngine, ReplicaServer } from '../../src/ports.js';
import { clientConfig } from '../../src/postgres/connect.js';
import { request } from '../contracts/replica-engine.js';
import { startApp, type TestApp } from '../support/app.js';
import { dockerAvailable, testImage } from '../support/docker.js';
import { eventually } from '../support/eventually.js';
import { least } from '../support/measure.js';
import { cuttable, localSocket } from '../support/wire.js';

const memoryBytes = 256 * 2 ** 20;
const silent = pino({ level: 'silent' });
const docker = new Dockerode();
const image = (await dockerAvailable()) ? ((await testImage()) as string) : undefined;

const createDocker = (instance: string, options: Partial<DockerEngineOptions> = {}) =>
  new DockerEngine({ instance, image: image as string, defaultMajor: 15, memoryBytes, logger: silent, ...options });

async function containersOf(instance: string): Promise<string[]> {
  const filters = { label: [`replichat.instance=${instance}`] };
  const containers = await docker.listContainers({ all: true, filters });
  return containers.map(({ Labels }) => Labels['replichat.server'] as string);
}

async function foldersOf(instance: string): Promise<string[]> {
  const folders = (await readdir(tmpdir())).filter((name) => name.startsWith(`replichat-${instance}-`));
  return folders.filter((name) => !name.endsWith('-binaries'));
}

const pools: WarmEngine[] = [];
afterEach(async () => {
  await Promise.all(pools.splice(0).map((warm) => warm.close()));
});

/** A pool, and what it has asked its engine for. */
function poolOf(engine: ReplicaEngine, options: { servers?: number } = {}) {
  const started: Promise<ReplicaServer>[] = [];
  const provision = engine.provision.bind(engine);
  engine.provision = (request) => {
    const starting = provision(request);
    starting.catch(() => {});
    started.push(starting);
    return starting;
  };
  const log: string[] = [];
  const logger = pino({ level: 'warn' }, { write: (line: string) => void log.push(line) });
  const settings: WarmEngineOptions = { servers: 1, logger, ...options };
  const warm = new WarmEngine(engine, settings);
  pools.push(warm);
  return { warm, started, log, settings };
}

async function rowsOf(server: ReplicaServer, query: string): Promise<unknown[][]> {
  const client = new pg.Client(clientConfig(server, server.admin));
  client.on('error', () => {});
  await client.connect();
  const { rows } = await client.query({ text: query, rowMode: 'array' });
  await client.end();
  return rows;
}

interface Setting {
  create(instance: string): ReplicaEngine;
  serversOf(instance: string): Promise<string[]>;
  kill(server: ReplicaServer): Promise<void>;
}

describeWarm('embedded', {
  create: (instance) => new EmbeddedEngine({ instance, memoryBytes, logger: silent }),
  serversOf: foldersOf,
  kill: async ({ id }) => {
    const [postmaster] = (await processesOf(id)).sort((a, b) => a - b);
    process.kill(postmaster as number, 'SIGKILL');
    await eventually('it is dead', async () => !(await processesOf(id)).includes(postmaster as number));
  },
});
if (image) {
  describeWarm('docker', {
    create: (instance) => createDocker(instance),
    serversOf: containersOf,
    kill: ({ id }) => docker.getContainer(id).kill(),
  });
} else {
  describe.skip('warm servers of engine docker', () => {
    test('need Docker', () => {});
  });
}

function describeWarm(name: string, { create, serversOf, kill }: Setting): void {
  describe(`warm servers of engine ${name}`, () => {
    test('are started when use is expected, and given away one by one', async () => {
      const instance = newId();
      const { warm, started } = poolOf(create(instance));
      warm.expectUse();
      warm.expectUse();
      const first = await started[0];
      const asked = new Date();
      const server = await warm.provision(request());
      expect(server).toBe(first);
      expect(await rowsOf(server, `SELECT pg_postmaster_start_time() < '${asked.toISOString()}'`)).toEqual([[true]]);
      expect(started).toHaveLength(1);
      warm.expectUse();
      expect(started).toHaveLength(2);
      expect(await warm.provision(request())).toBe(await started[1]);
      expect(await serversOf(instance)).toHaveLength(2);
    });

    test('are not started as long as nobody expects anything', async () => {
      const { warm, started } = poolOf(create(newId()));
      await warm.check();
      const activities: string[] = [];
      await warm.provision(request({ onProgress: (activity) => activities.push(activity) }));
      expect(started).toHaveLength(1);
      expect(activities).toContain('starting PostgreSQL');
    });

    test('are waited for while they start', async () => {
      const { warm, started } = poolOf(create(newId()));
      warm.expectUse();
      expect(await warm.provision(request())).toBe(await started[0]);
      expect(started).toHaveLength(1);
    });

    test('start one after the other', async () => {
      const instance = newId();
      const { warm, started } = poolOf(create(instance), { servers: 2 });
      warm.expectUse();
      expect(started).toHaveLength(1);
      await started[0];
      expect(started).toHaveLength(2);
      await started[1];
      warm.expectUse();
      expect(started).toHaveLength(2);
    });

    test('go when nobody has wanted one for long, and come again', async () => {
      const instance = newId();
      const { warm, started, settings } = poolOf(create(instance));
      warm.expectUse();
      const server = await started[0];
      settings.idleMs = 300;
      warm.expectUse();
      expect(await server?.stopped).toMatchObject({ reason: 'DISPOSED' });
      await eventually('nothing is left', async () => (await serversOf(instance)).length === 0);
      settings.idleMs = undefined;
      warm.expectUse();
      expect(started).toHaveLength(2);
      expect(await warm.provision(request())).toBe(await started[1]);
    });

    test('that have been given away stay however long it takes', async () => {
      const { warm, settings } = poolOf(create(newId()));
      warm.expectUse();
      const server = await warm.provision(request());
      settings.idleMs = 100;
      warm.expectUse();
      await sleep(500);
      expect(await rowsOf(server, 'SELECT 1')).toEqual([[1]]);
    });

    test.each([
      ['just now', async () => {}],
      ['a while ago', (server: ReplicaServer) => server.stopped],
    ])('that died %s are not given away', async (_when, passes) => {
      const instance = newId();
      const { warm, started } = poolOf(create(instance));
      warm.expectUse();
      const dead = (await started[0]) as ReplicaServer;
      await kill(dead);
      await passes(dead);
      const server = await warm.provision(request());
      expect(server).not.toBe(dead);
      expect(await rowsOf(server, 'SELECT 1')).toEqual([[1]]);
      await eventually('only one is left', async () => String(await serversOf(instance)) === server.id);
    });

    test('that nobody waits for any more when they are given away leave nothing', async () => {
      const instance = newId();
      const { warm, started } = poolOf(create(instance));
      warm.expectUse();
      const reason = new Error('changed my mind');
      const controller = new AbortController();
      const provision = warm.provision(request({ signal: controller.signal }));
      controller.abort(reason);
      await expect(provision).rejects.toBe(reason);
      expect(await serversOf(instance)).toEqual([]);
      expect(started).toHaveLength(1);
    });

    test.each([true, false])('go with the engine, whether they run: %s', async (runs) => {
      const instance = newId();
      const { warm, started, log } = poolOf(create(instance), { servers: 2 });
      warm.expectUse();
      if (runs) await started[0];
      await warm.close();
      expect(await serversOf(instance)).toEqual([]);
      warm.expectUse();
      await sleep(100);
      expect(await serversOf(instance)).toEqual([]);
      expect(log).toEqual([]);
    });

    test('serve a chat as soon as it uploads, with another in their place afterwards', async () => {
      const app = await startApp({ REPLICA_ENGINE: name, REPLICA_IMAGE: image ?? '', REPLICA_WARM: '1' });
      const servers = () => serversOf(app.app.instance);
      try {
        expect(await servers()).toEqual([]);
        const chatId = await app.createChat();
        await eventually('a server is there', async () => (await servers()).length === 1);
        const [first] = await servers();
        expect(await app.replicate(chatId, 'CREATE TABLE t AS SELECT 1 AS a;')).toMatchObject({ state: 'READY' });
        expect(await app.rows(chatId, 'SELECT a FROM t')).toEqual([[1]]);
        await eventually('another server is there', async () => (await servers()).length === 2);
        await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
        expect(await servers()).not.toContain(first);
      } finally {
        await app.app.close();
      }
      expect(await servers()).toEqual([]);
    });

    test('are none with REPLICA_WARM=0', async () => {
      const app = await startApp({ REPLICA_ENGINE: name, REPLICA_IMAGE: image ?? '', REPLICA_WARM: '0' });
      try {
        await app.createChat();
        await sleep(1_000);
        expect(await serversOf(app.app.instance)).toEqual([]);
      } finally {
        await app.app.close();
      }
    });
  });
}

(image ? describe : describe.skip)('warm servers of engine docker', () => {
  const repo = `replichat-test-warm-${newId()}`;
  beforeAll(() => Promise.all(['15', '16'].map((tag) => docker.getImage(image as string).tag({ repo, tag }))));
  afterAll(() => Promise.all(['15', '16'].map((tag) => docker.getImage(`${repo}:${tag}`).remove())));

  const imageOf = async ({ id }: ReplicaServer) => (await docker.getContainer(id).inspect()).Config.Image;

  test('make a small dump READY in a second, in much less time than it takes without', async () => {
    const env = { REPLICA_ENGINE: 'docker', REPLICA_IMAGE: image ?? '', GATEWAY_PORT: 'off' };
    const [warm, cold] = [await startApp({ ...env, REPLICA_WARM: '1' }), await startApp({ ...env, REPLICA_WARM: '0' })];
    const warmServers = async () => {
      const text = await (await fetch(`http://127.0.0.1:${warm.port}/metrics`)).text();
      return Number(/^replichat_warm_servers (\d+)$/m.exec(text)?.[1]);
    };
    const secondsToReady = async (app: TestApp) => {
      const chatId = await app.createChat();
      if (app === warm) await eventually('a server waits', async () => (await warmServers()) === 1);
      const begun = performance.now();
      expect(await app.replicate(chatId, 'CREATE TABLE t AS SELECT 1 AS a;')).toMatchObject({ state: 'READY' });
      const seconds = (performance.now() - begun) / 1000;
      await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: chatId });
      return seconds;
    };
    try {
      const best = { warm: Number.POSITIVE_INFINITY, cold: Number.POSITIVE_INFINITY };
      for (let round = 0; round < 3; round += 1) {
        best.warm = Math.min(best.warm, await secondsToReady(warm));
        best.cold = Math.min(best.cold, await secondsToReady(cold));
      }
      process.stdout.write(`\nREADY in ${best.warm.toFixed(2)} s, without in ${best.cold.toFixed(2)} s\n\n`);
      // A second on a machine that does nothing else.
      expect(best.warm).toBeLessThan(Math.max(1, best.cold * 0.7));
      expect(best.warm).toBeLessThan(best.cold * 0.85);
    } finally {
      await warm.app.close();
      await cold.app.close();
    }
  });

  test('take less than 60 MB of memory each', async () => {
    const { warm } = poolOf(createDocker(newId(), { memoryBytes: 2 ** 30 }));
    const { id } = await warm.provision(request({ chatId: undefined }));
    const { memory_stats } = await docker.getContainer(id).stats({ stream: false, 'one-shot': true });
    const { usage, stats } = memory_stats as { usage: number; stats: Record<string, number> };
    // As `docker stats` counts: without the files that the kernel forgets when it needs the room. In cgroup v1 and v2.
    const used = usage - (stats.total_inactive_file ?? stats.inactive_file ?? 0);
    expect(used).toBeGreaterThan(10e6);
    expect(used).toBeLessThan(60e6);
  });

  test('are of the version that was asked for last', async () => {
    const { warm, started } = poolOf(createDocker(newId(), { image: `${repo}:{major}` }));
    warm.expectUse();
    const older = (await started[0]) as ReplicaServer;
    expect(await imageOf(older)).toBe(`${repo}:15`);
    const cold = await warm.provision(request({ majorVersion: 16 }));
    expect(cold).not.toBe(older);
    warm.expectUse();
    expect(await older.stopped).toMatchObject({ reason: 'DISPOSED' });
    const newer = (await started[2]) as ReplicaServer;
    expect(await imageOf(newer)).toBe(`${repo}:16`);
    expect(await warm.provision(request({ majorVersion: 16 }))).toBe(newer);
  });

  test('are given up when a dump of another version comes while they start', async () => {
    const instance = newId();
    const { warm, started } = poolOf(createDocker(instance, { image: `${repo}:{major}` }));
    warm.expectUse();
    const server = await warm.provision(request({ majorVersion: 16 }));
    await expect(started[0]).rejects.toThrow('nobody waits');
    expect(await containersOf(instance)).toEqual([server.id]);
  });

  test('are called after their chat when they have one, and watched as before', async () => {
    const instance = newId();
    const { warm, started } = poolOf(createDocker(instance));
    warm.expectUse();
    const { id } = (await started[0]) as ReplicaServer;
    const container = docker.getContainer((await docker.getContainer(id).inspect()).Id);
    const chatId = newId();
    const server = await warm.provision(request({ chatId }));
    const { Name } = await container.inspect();
    expect(Name).toMatch(new RegExp(`^/?replichat-${chatId}-[0-9a-z]{20}$`));
    expect(await warm.reap()).toBe(0);
    expect(await rowsOf(server, 'SELECT 1')).toEqual([[1]]);
    await container.kill();
    expect(await server.stopped).toMatchObject({ reason: 'EXITED' });
    await server.dispose();
    expect(await containersOf(instance)).toEqual([]);
  });

  test('that somebody has removed are not given away', async () => {
    const { warm, started } = poolOf(createDocker(newId()));
    warm.expectUse();
    const lost = (await started[0]) as ReplicaServer;
    await docker.getContainer(lost.id).remove({ force: true, v: true });
    const server = await warm.provision(request());
    expect(server).not.toBe(lost);
    expect(await rowsOf(server, 'SELECT 1')).toEqual([[1]]);
  });

  const overSocket = localSocket ? test : test.skip;
  overSocket('that died while the Engine could not tell are not given away', async () => {
    const wire = await cuttable();
    const { warm, started } = poolOf(createDocker(newId(), { docker: new Dockerode({ socketPath: wire.path }) }));
    try {
      warm.expectUse();
      const dead = (await started[0]) as ReplicaServer;
      wire.cut();
      await docker.getContainer(dead.id).kill();
      wire.mend();
      const server = await warm.provision(request());
      expect(server).not.toBe(dead);
      expect(await rowsOf(server, 'SELECT 1')).toEqual([[1]]);
    } finally {
      await warm.close();
      await wire.close();
    }
  });

  test('have their streams ready, which wait longer than PostgreSQL for a password', async () => {
    const { warm } = poolOf(createDocker(newId()));
    warm.expectUse();
    const server = await warm.provision(request());
    await rowsOf(server, "ALTER SYSTEM SET authentication_timeout = '1s'");
    await rowsOf(server, 'SELECT pg_reload_conf()');
    await sleep(2_000);
    const ms = await least(10, async () => {
      const begin = performance.now();
      const stream = await server.open();
      const opened = performance.now();
      stream.destroy();
      return opened - begin;
    });
    expect(ms).toBeLessThan(10);
    expect(await rowsOf(server, 'SELECT 1')).toEqual([[1]]);
  });

  test('that cannot be started are told of once, and tried again when they are wanted', async () => {
    const { warm, started, log } = poolOf(createDocker(newId(), { image: 'localhost:1/replichat/missing:{major}' }));
    for (const attempt of [1, 2]) {
      warm.expectUse();
      expect(started).toHaveLength(attempt);
      await expect(started[attempt - 1]).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
      await sleep(100);
      expect(started).toHaveLength(attempt);
    }
    expect(log).toHaveLength(1);
    expect(log[0]).toMatch(/REPLICA_WARM.*missing:15/);
    await expect(warm.provision(request({ majorVersion: 16 }))).rejects.toMatchObject({
      message: expect.stringMatching(/the dump needs PostgreSQL 16 or newer.*missing:16/),
    });
  });
});
