import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import pg from 'pg';
import { pino } from 'pino';
import { newId } from '../../src/domain/ids.js';
import { DockerEngine, type DockerEngineOptions } from '../../src/engines/docker.js';
import { containerOptions, SOCKET_FOLDER } from '../../src/engines/docker-container.js';
import { execOutput } from '../../src/engines/docker-relay.js';
import { announcePresence, presenceFolder } from '../../src/engines/presence.js';
import type { Living, ReplicaServer, ServerStop } from '../../src/ports.js';
import { clientConfig } from '../../src/postgres/connect.js';
import { describeReplicaEngine, request, until } from '../contracts/replica-engine.js';
import { dump } from '../support/archives.js';
import { dockerAvailable, testImage } from '../support/docker.js';
import { least } from '../support/measure.js';
import { cuttable, localSocket, reachesSockets } from '../support/wire.js';

const MiB = 2 ** 20;
const docker = new Dockerode();
const available = await dockerAvailable();
const image = available ? ((await testImage()) as string) : 'none';

function create(instance: string, options: Partial<DockerEngineOptions> = {}): DockerEngine {
  return new DockerEngine({
    instance,
    image,
    defaultMajor: 17,
    memoryBytes: 256 * MiB,
    logger: pino({ level: 'silent' }),
    ...options,
  });
}

async function remains(instance: string): Promise<string[]> {
  const filters = { label: [`replichat.instance=${instance}`] };
  const containers = await docker.listContainers({ all: true, filters });
  return containers.map(({ Names }) => (Names[0] ?? '').replace('/', ''));
}

async function connect(server: ReplicaServer): Promise<pg.Client> {
  const client = new pg.Client(clientConfig(server, server.admin));
  client.on('error', () => {});
  await client.connect();
  return client;
}

function run(server: ReplicaServer, script: string): Promise<string> {
  return execOutput(docker.getContainer(server.id), ['bash', '-c', script], AbortSignal.timeout(60_000));
}

/** A container as an instance that never announced itself would have left it. */
async function leaveBehind(instance: string, tempFolder = tmpdir(), labels: object = {}): Promise<string> {
  const name = `replichat-test-${newId()}`;
  const password = newId();
  const spec = {
    name,
    image,
    volumes: [],
    instance,
    chatId: newId(),
    password,
    memoryBytes: 256 * MiB,
    cpus: undefined,
  };
  const options = containerOptions(spec);
  const Labels = { ...options.Labels, 'replichat.presence': presenceFolder(tempFolder), ...labels };
  const container = await docker.createContainer({ ...options, Labels });
  await container.start();
  return name;
}

describeReplicaEngine('the Docker engine', { available, create, remains, dump });
describeReplicaEngine('the Docker engine by docker exec', {
  available,
  create: (instance: string) => create(instance, { connect: 'exec' }),
  remains,
  dump,
});

(available ? describe : describe.skip)('the Docker engine', () => {
  const instance = newId();
  const engine = create(instance, { cpus: 1.5, connect: 'exec' });
  afterAll(() => engine.close());

  describe('a container', () => {
    const chatId = newId();
    let provisioned: Promise<ReplicaServer> | undefined;
    const shared = () => {
      provisioned ??= engine.provision(request({ chatId }));
      return provisioned;
    };

    test('is locked up', async () => {
      const { id } = await shared();
      const { Config, HostConfig, NetworkSettings, Mounts } = await docker.getContainer(id).inspect();
      expect(Config.User).toBe('999:999');
      expect(HostConfig).toMatchObject({
        NetworkMode: 'none',
        ReadonlyRootfs: true,
        Privileged: false,
        // Podman's name for it.
        IpcMode: expect.stringMatching(/^(private|shareable)$/),
        Memory: 256 * MiB,
        MemorySwap: 256 * MiB,
        OomScoreAdj: 500,
        NanoCpus: 1_500_000_000,
        CpuShares: 256,
        PidsLimit: 256,
        ShmSize: 64 * MiB,
        RestartPolicy: { Name: 'no' },
        Tmpfs: { '/tmp': expect.stringMatching(/^rw,noexec,nosuid,nodev,size=64m/) },
      });
      expect(HostConfig.CapDrop).not.toHaveLength(0);
      expect(HostConfig.SecurityOpt?.join()).toMatch(/no-new-privileges/);
      expect(HostConfig.Ulimits).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ Soft: 4096, Hard: 4096 }),
          expect.objectContaining({ Soft: 0, Hard: 0 }),
        ]),
      );
      // Podman does not tell.
      expect(HostConfig.LogConfig?.Config ?? { 'max-size': '5m' }).toMatchObject({ 'max-size': '5m' });
      expect(HostConfig.PortBindings ?? {}).toEqual({});
      expect(NetworkSettings.Ports ?? {}).toEqual({});
      expect(Mounts.map(({ Type }) => Type)).not.toContain('bind');
      expect(Mounts.map(({ Destination }) => Destination)).toContain('/var/lib/postgresql');
    });

    test('runs without a single capability, and no program gets more', async () => {
      const client = await connect(await shared());
      const { rows } = await client.query("SELECT pg_read_file('/proc/self/status') AS status");
      expect(rows[0].status).toMatch(/^CapEff:\t0+$/m);
      expect(rows[0].status).toMatch(/^CapBnd:\t0+$/m);
      expect(rows[0].status).toMatch(/^NoNewPrivs:\t1$/m);
      await client.end();
    });

    test('has no interface but its loopback, and no writable disk but its volume', async () => {
      const client = await connect(await shared());
      const { rows } = await client.query("SELECT pg_ls_dir('/sys/class/net') AS name");
      expect(rows.map(({ name }) => name).filter((name) => !/^(tunl|sit|ip6|gre|erspan|ip_vti)/.test(name))).toEqual([
        'lo',
      ]);
      const write = client.query("COPY (SELECT 1) TO '/usr/local/bin/x'");
      await expect(write).rejects.toThrow(/Read-only file system/);
      await client.end();
    });

    test('does not show its password', async () => {
      const { id, admin } = await shared();
      const inspection = JSON.stringify(await docker.getContainer(id).inspect());
      expect(inspection).not.toContain(admin.password);
      expect(inspection).toContain('SCRAM-SHA-256$4096:');
    });

    test('says whose it is', async () => {
      const { id } = await shared();
      const { Config, Name } = await docker.getContainer(id).inspect();
      expect(Config.Labels).toMatchObject({
        'replichat.instance': instance,
        'replichat.host': hostname(),
        'replichat.server': id,
        'replichat.chat': chatId,
      });
      expect(Name).toMatch(new RegExp(`^/?replichat-${chatId}-[0-9a-z]{20}$`));
    });

    test('keeps no process of a relay whose client or server has closed', async () => {
      const server = await shared();
      const relays = async () => Number(await run(server, COUNT_RELAYS));
      // What was opened ahead is used up first.
      while ((await relays()) > 0) (await server.open()).destroy();
      const [polite, rude, ended] = [await connect(server), await connect(server), await connect(server)];
      const { rows } = await ended.query('SELECT pg_backend_pid() AS pid');
      expect(await relays()).toBe(6);
      const closed = [polite, rude, ended].map((client) => new Promise((resolve) => client.once('end', resolve)));
      (rude as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
      await polite.query(`SELECT pg_terminate_backend(${rows[0].pid})`);
      await polite.end();
      await Promise.all(closed);
      await until(async () => (await relays()) === 0);
    });

    test('outlives a relay that is killed', async () => {
      const server = await shared();
      const victim = await connect(server);
      const lost = new Promise((resolve) => victim.once('end', resolve));
      await run(server, KILL_RELAYS).catch(() => {});
      await lost;
      const { rows } = await (await connect(server)).query('SELECT pg_postmaster_start_time() < now() AS runs');
      expect(rows[0].runs).toBe(true);
      const restarted = (await docker.getContainer(server.id).logs({ stdout: true, stderr: true })).toString();
      expect(restarted).not.toMatch(/terminating any other active server processes/);
    });

    test('is removed with its volumes', async () => {
      const server = await shared();
      const { Mounts } = await docker.getContainer(server.id).inspect();
      const volumes = Mounts.flatMap(({ Name }) => (Name ? [Name] : []));
      expect(volumes.length).toBeGreaterThan(0);
      await server.dispose();
      for (const volume of volumes)
        await expect(docker.getVolume(volume).inspect()).rejects.toMatchObject({ statusCode: 404 });
    });
  });

  const asRoot = reachesSockets ? test : test.skip;
  asRoot('reaches PostgreSQL by its socket, and by nothing that stands in its place', async () => {
    const short = create(newId());
    const decoy = createServer().listen(join(tmpdir(), `decoy-${newId()}.sock`));
    const reached: unknown[] = [];
    decoy.on('connection', (socket) => reached.push(socket.destroy()));
    try {
      const server = await short.provision(request());
      const client = await connect(server);
      expect(await run(server, COUNT_RELAYS)).toBe('0\n');
      await client.end();
      await run(server, `cd ${SOCKET_FOLDER} && mv .s.PGSQL.5432 kept && ln -s ${decoy.address()} .s.PGSQL.5432`);
      await expect(server.open()).rejects.toThrow(/replaced by something else/);
      await run(server, `cd ${SOCKET_FOLDER} && mv kept .s.PGSQL.5432`);
      await (await connect(server)).end();
      expect(reached).toEqual([]);
    } finally {
      decoy.close();
      await short.close();
    }
  });

  test('notices that a container was killed', async () => {
    const server = await engine.provision(request());
    const client = await connect(server);
    const lost = new Promise((resolve) => client.once('end', resolve));
    await docker.getContainer(server.id).kill();
    expect(await server.stopped).toMatchObject({ reason: 'EXITED', message: expect.stringContaining('exit code 137') });
    await lost;
    await server.dispose();
  });

  test('says why sessions are lost before the Engine has noticed', async () => {
    let fault: ServerStop | undefined;
    // On a busy machine a kill may take longer than the second that it is waited for.
    for (let round = 0; round < 5 && !fault; round++) {
      const server = await engine.provision(request());
      const killing = sleep(300).then(() => docker.getContainer(server.id).kill());
      [fault] = await Promise.all([server.fault(), killing]);
      await server.dispose();
    }
    expect(fault).toMatchObject({ reason: 'EXITED', message: expect.stringContaining('exit code 137') });
  });

  test('notices that a container was removed by somebody else', async () => {
    const server = await engine.provision(request());
    await docker.getContainer(server.id).remove({ force: true, v: true });
    expect(await server.stopped).toMatchObject({ reason: 'EXITED' });
    await server.dispose();
  });

  test('says so when a query has used up the memory', async () => {
    const small = create(newId(), { memoryBytes: 160 * MiB });
    try {
      const ms = await least(2_000, async () => {
        const server = await small.provision(request());
        const client = await connect(server);
        const bomb = "SELECT length(string_agg(repeat('x', 1000), '')) FROM generate_series(1, 900000)";
        await expect(client.query(bomb)).rejects.toThrow();
        const asked = performance.now();
        expect(await server.fault()).toEqual({
          reason: 'OUT_OF_MEMORY',
          message: 'out of memory: the replica may use 160 MiB (REPLICA_MEMORY)',
        });
        const answered = performance.now();
        expect((await docker.getContainer(server.id).inspect()).State.Running).toBe(true);
        return answered - asked;
      });
      expect(ms).toBeLessThan(2_000);
    } finally {
      await small.close();
    }
  });

  test('an image that is nowhere is ENGINE_UNAVAILABLE, with the remedy', async () => {
    const other = create(newId(), { image: 'localhost:1/replichat/missing:{major}' });
    await expect(other.provision(request({ majorVersion: 16 }))).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringMatching(/localhost:1\/replichat\/missing:16.*docker pull.*REPLICA_IMAGE/),
    });
    await other.close();
  });

  test('an image without bash and PostgreSQL is ENGINE_UNAVAILABLE, with the remedy', async () => {
    const emptyTar = Readable.from([Buffer.alloc(1024)]);
    const imported = await docker.importImage(emptyTar, { repo: 'replichat-test-empty', tag: newId() });
    const empty = /[0-9a-f]{64}/.exec(String(Buffer.concat(await (imported as Readable).toArray())))?.[0] as string;
    const other = create(newId(), { image: empty });
    try {
      await expect(other.provision(request())).rejects.toMatchObject({
        code: 'ENGINE_UNAVAILABLE',
        message: expect.stringMatching(/REPLICA_IMAGE needs bash and PostgreSQL/),
      });
    } finally {
      await other.close();
      await docker.getImage(empty).remove({ force: true });
    }
  });

  test('an image without pg_restore is said to be that', async () => {
    const maker = await docker.createContainer({
      Image: image,
      Entrypoint: ['bash', '-c', 'shopt -s nullglob; rm /usr/{local/,lib/postgresql/*/,}bin/pg_restore'],
      HostConfig: { NetworkMode: 'none' },
    });
    await maker.start();
    await maker.wait();
    const { Id } = await maker.commit({});
    await maker.remove({ force: true, v: true });
    const other = create(newId(), { image: Id });
    try {
      const server = await other.provision(request());
      const archive = Readable.from([Buffer.from('PGDMP')])[Symbol.asyncIterator]() as AsyncGenerator<Buffer, void>;
      const script = server.convertArchive?.(archive, new AbortController().signal);
      await expect(script?.next()).rejects.toMatchObject({
        code: 'UNSUPPORTED_DUMP',
        message: `the image ${Id} has no pg_restore, which it takes to read an archive`,
        facts: { hint: expect.stringMatching(/REPLICA_IMAGE.*pg_restore --file=dump.sql/) },
      });
    } finally {
      await other.close();
      await docker.getImage(Id).remove({ force: true });
    }
  });

  const overSocket = localSocket ? test : test.skip;
  overSocket('notices, when the Engine answers again, what it has missed', async () => {
    const wire = await cuttable();
    const other = create(newId(), { docker: new Dockerode({ socketPath: wire.path }) });
    try {
      const server = await other.provision(request());
      wire.cut();
      await docker.getContainer(server.id).kill();
      await expect(server.open()).rejects.toThrow();
      expect(await server.fault()).toBeUndefined();
      wire.mend();
      expect(await server.stopped).toMatchObject({ reason: 'EXITED' });
    } finally {
      wire.mend();
      await other.close();
      await wire.close();
    }
  });

  test('notices when it reaps what a stream of events that stands still has not told', async () => {
    const getEvents = ({ abortSignal }: Dockerode.GetEventsOptions) => once(abortSignal as AbortSignal, 'abort');
    const other = create(newId(), { docker: Object.assign(new Dockerode(), { getEvents }) });
    try {
      const server = await other.provision(request());
      await docker.getContainer(server.id).kill();
      await other.reap();
      expect(await server.stopped).toMatchObject({ reason: 'EXITED' });
    } finally {
      await other.close();
    }
  });

  test('an Engine that does not answer is ENGINE_UNAVAILABLE, with the remedy', async () => {
    const nowhere = create(newId(), { docker: new Dockerode({ socketPath: '/tmp/no-such-docker.sock' }) });
    const refusal = {
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringMatching(/no-such-docker\.sock.*DOCKER_HOST.*REPLICA_ENGINE=embedded/),
    };
    await expect(nowhere.check()).rejects.toMatchObject(refusal);
    await expect(nowhere.provision(request())).rejects.toMatchObject(refusal);
    await expect(nowhere.reap()).rejects.toMatchObject(refusal);
    await nowhere.close();
  });

  test('a server that does not start in time is removed', async () => {
    const other = newId();
    const hasty = create(other, { startTimeoutMs: 50 });
    await expect(hasty.provision(request())).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
    expect(await remains(other)).toEqual([]);
    await hasty.close();
  });

  test('reaps what an instance that is gone has left, and not what a living one runs', async () => {
    const [dead, living] = [newId(), newId()];
    const presence = await announcePresence(living);
    const kept = await leaveBehind(living);
    try {
      await leaveBehind(dead);
      await engine.reap();
      expect(await remains(dead)).toEqual([]);
      expect(await remains(living)).toEqual([kept]);
    } finally {
      await presence.close();
      await engine.reap();
    }
    expect(await remains(living)).toEqual([]);
  });

  test('reaps nothing that runs for an instance whose temp folder is another one', async () => {
    const living = newId();
    const folder = await mkdtemp(join(tmpdir(), 'private-tmp-'));
    const name = await leaveBehind(living, folder);
    try {
      await engine.reap();
      expect(await remains(living)).toEqual([name]);
      await docker.getContainer(name).kill();
      // Whoever else reaps on this Engine may have it first.
      await docker
        .getContainer(name)
        .wait()
        .catch(() => {});
      await engine.reap();
      expect(await remains(living)).toEqual([]);
    } finally {
      await docker
        .getContainer(name)
        .remove({ force: true, v: true })
        .catch(() => {});
      await rm(folder, { recursive: true });
    }
  });

  describe('with a store', () => {
    const store = newId();
    const nobody = async (): Promise<Living> => ({ instances: new Set(), servers: new Set() });
    const attach = (to: DockerEngine, { id, admin }: ReplicaServer) => to.attach?.(id, admin) as Promise<ReplicaServer>;

    test.each(['auto', 'exec'] as const)('attaches what another one on it has left (%s)', async (connectBy) => {
      const [one, other] = [newId(), newId()].map((name) => create(name, { store, connect: connectBy })) as [
        DockerEngine,
        DockerEngine,
      ];
      try {
        const server = await one.provision(request());
        await server.assign(newId());
        const session = await connect(server);
        const lost = new Promise((resolve) => session.once('end', resolve));
        await server.leave?.();
        await lost;
        await one.close();
        const attached = await attach(other, server);
        expect((await (await connect(attached)).query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
        await attached.dispose();
        expect(await attached.stopped).toMatchObject({ reason: 'DISPOSED' });
        await expect(attach(other, server)).rejects.toThrow('does not run any more');
      } finally {
        await one.close();
        await other.close();
      }
    });

    test('notices the end of what several have attached, on each', async () => {
      const [one, other] = [create(newId(), { store }), create(newId(), { store })];
      try {
        const server = await one.provision(request());
        const attached = await attach(other, server);
        await docker.getContainer(server.id).kill();
        expect(await server.stopped).toMatchObject({ reason: 'EXITED' });
        expect(await attached.stopped).toMatchObject({ reason: 'EXITED' });
      } finally {
        await one.close();
        await other.close();
      }
    });

    test('reaps what nobody on it needs, and nothing of another store', async () => {
      const dead = newId();
      const [one, stranger] = [create(newId(), { store }), create(newId(), { store: newId() })];
      const left = create(dead, { store });
      const server = await left.provision(request());
      await server.leave?.();
      await left.close();
      try {
        for (const living of [
          { ...(await nobody()), instances: new Set([dead]) },
          { ...(await nobody()), servers: new Set([server.id]) },
        ]) {
          await one.reap(async () => living);
          expect(await remains(dead)).toEqual([server.id]);
        }
        await stranger.reap(nobody);
        await engine.reap();
        expect(await remains(dead)).toEqual([server.id]);
        await one.reap(nobody);
        expect(await remains(dead)).toEqual([]);
      } finally {
        await one.close();
        await stranger.close();
      }
    });

    test('reaps what a server with another host name has left, as that of a container made anew is', async () => {
      const [dead, one] = [newId(), create(newId(), { store })];
      const left = await leaveBehind(dead, tmpdir(), { 'replichat.store': store, 'replichat.host': 'another' });
      try {
        await one.reap(async () => ({ ...(await nobody()), instances: new Set([dead]) }));
        expect(await remains(dead)).toEqual([left]);
        await one.reap(nobody);
        expect(await remains(dead)).toEqual([]);
      } finally {
        await one.close();
      }
    });

    test('is what attaching takes', () => {
      expect(engine.attach).toBeUndefined();
    });
  });

  test('reaps volumes whose container has gone without them, but not those of the living', async () => {
    const server = await engine.provision(request());
    const { Mounts } = await docker.getContainer(server.id).inspect();
    const [volume, ...others] = Mounts.filter(({ Type }) => Type === 'volume');
    expect(others).toEqual([]);
    const inspect = (name: string) => docker.getVolume(name).inspect();
    const { Labels } = await inspect(volume?.Name as string);
    expect(Labels).toMatchObject({ 'replichat.instance': instance, 'replichat.server': server.id });
    const living = newId();
    const presence = await announcePresence(living);
    const left = async (changes: Record<string, string>) =>
      (await docker.createVolume({ Labels: { ...Labels, ...changes } })).name;
    const [ours, dead, theirs] = [
      await left({ 'replichat.server': 'replichat-gone' }),
      await left({ 'replichat.instance': newId() }),
      await left({ 'replichat.instance': living }),
    ];
    try {
      await engine.reap();
      for (const name of [ours, dead]) await expect(inspect(name)).rejects.toMatchObject({ statusCode: 404 });
      await inspect(theirs);
      await inspect(volume?.Name as string);
    } finally {
      await presence.close();
      await docker.getVolume(theirs).remove();
      await server.dispose();
    }
  });

  test('reaps what is its own and that it does not know', async () => {
    const server = await engine.provision(request());
    const lost = await leaveBehind(instance);
    expect(await engine.reap()).toBeGreaterThanOrEqual(1);
    expect(await remains(instance)).toEqual([server.id]);
    expect(lost).not.toBe(server.id);
    await server.dispose();
  });
});

const EACH_RELAY = `
cd /proc
for pid in [0-9]*; do
  case $(tr '\\0' ' ' <$pid/cmdline 2>/dev/null) in
    'perl -e'*) relays="$relays $pid" ;;
  esac
done
`;
const COUNT_RELAYS = `${EACH_RELAY} set -- $relays; echo $#`;
const KILL_RELAYS = `${EACH_RELAY} kill -KILL $relays`;
