import { cp, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { newId } from '../../src/domain/ids.js';
import { EmbeddedEngine } from '../../src/engines/embedded.js';
import { findBinaries } from '../../src/engines/embedded-binaries.js';
import { makeFolder } from '../../src/engines/embedded-folder.js';
import { EmbeddedServer } from '../../src/engines/embedded-server.js';
import { announcePresence } from '../../src/engines/presence.js';
import { processesOf } from '../../src/engines/processes.js';
import { newAdmin } from '../../src/postgres/boot.js';
import { describeReplicaEngine, request } from '../contracts/replica-engine.js';

const logger = pino({ level: 'silent' });
const available = await findBinaries(join(tmpdir(), `replichat-${newId()}-binaries`)).then(
  () => true,
  () => false,
);
if (!available) process.stderr.write('skipping the embedded engine: its optional package is not installed\n');

function create(instance: string): EmbeddedEngine {
  return new EmbeddedEngine({ instance, memoryBytes: 256 * 2 ** 20, logger });
}

async function remains(instance: string): Promise<string[]> {
  const folders = (await readdir(tmpdir())).filter((name) => name.startsWith(`replichat-${instance}-`));
  const processes = await Promise.all(folders.map(processesOf));
  return [...folders, ...processes.flat().map(String)];
}

describeReplicaEngine('the embedded engine', { available, create, remains });

(available ? describe : describe.skip)('the embedded engine', () => {
  const engine = create(newId());
  afterAll(() => engine.close());

  test('says that it isolates next to nothing', () => {
    expect(engine.description).toMatch(/development only.*without a memory or disk limit.*network/);
  });

  test('listens on a Unix socket in a folder of its own, and nowhere else', async () => {
    const server = await engine.provision(request());
    const folder = join(tmpdir(), server.id);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect(await readdir(folder)).toContain('.s.PGSQL.5432');
    expect(await readdir(folder)).not.toContain('verifier');
    await server.dispose();
  });

  test('does not hand its environment on to PostgreSQL', async () => {
    process.env.REPLICHAT_TEST_SECRET = 'hidden';
    const server = await engine.provision(request());
    const pids = await processesOf(server.id);
    expect(pids.length).toBeGreaterThan(0);
    if (process.platform === 'linux') {
      const { readFile } = await import('node:fs/promises');
      for (const pid of pids) expect(await readFile(`/proc/${pid}/environ`, 'utf8')).not.toContain('hidden');
    }
    await server.dispose();
    expect(await processesOf(server.id)).toEqual([]);
  });

  test('notices that a server has been killed, and cleans up after it', async () => {
    const server = await engine.provision(request());
    const [postmaster] = (await processesOf(server.id)).sort((a, b) => a - b);
    process.kill(postmaster as number, 'SIGKILL');
    expect(await server.stopped).toMatchObject({ reason: 'EXITED' });
    expect((await server.fault())?.message).toContain('SIGKILL');
    await server.dispose();
    expect(await processesOf(server.id)).toEqual([]);
    await expect(stat(join(tmpdir(), server.id))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('reaps the processes and the folder of an engine that was killed', async () => {
    const dead = newId();
    const folder = join(tmpdir(), `replichat-${dead}-${newId().slice(0, 6)}`);
    const binaries = await findBinaries(join(tmpdir(), `replichat-${dead}-binaries`));
    const orphan = new EmbeddedServer({
      folder,
      binaries,
      admin: newAdmin(),
      memoryBytes: 256 * 2 ** 20,
      onRemoved: () => {},
    });
    const presence = await announcePresence(dead);
    await orphan.start(new AbortController().signal);
    await engine.reap();
    expect(await remains(dead)).not.toEqual([]);
    await presence.close();
    await engine.reap();
    expect(await orphan.stopped).toMatchObject({ reason: 'EXITED' });
    expect(await remains(dead)).toEqual([]);
    expect(await processesOf(orphan.id)).toEqual([]);
  });

  test('says why sessions are lost before it has been told that the process ended', async () => {
    const server = await engine.provision(request());
    const [postmaster] = (await processesOf(server.id)).sort((a, b) => a - b);
    process.kill(postmaster as number, 'SIGKILL');
    expect(await server.fault()).toMatchObject({ reason: 'EXITED', message: expect.stringContaining('SIGKILL') });
    await server.dispose();
  });

  test.each([
    ['that is called like one of ours', 'replichat-my-notes'],
    ['that is called exactly like one of ours', `replichat-${newId()}-${newId().slice(0, 6)}`],
  ])('does not reap a folder %s', async (_what, name) => {
    const folder = join(tmpdir(), name);
    await mkdir(folder);
    try {
      await writeFile(join(folder, 'note'), 'mine');
      await engine.reap();
      expect(await readdir(folder)).toEqual(['note']);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('reaps what was killed before it had written or while it removed anything', async () => {
    const dead = newId();
    const [fresh, half] = ['fresh0', 'half00'].map((id) => join(tmpdir(), `replichat-${dead}-${id}`)) as [
      string,
      string,
    ];
    await mkdir(fresh);
    await makeFolder(half);
    await engine.reap();
    expect(await remains(dead)).toEqual([]);
  });

  const asRoot = process.getuid?.() === 0 ? test : test.skip;
  asRoot('runs from below a folder that only root can enter', async () => {
    const installed = await findBinaries(join(tmpdir(), `replichat-${newId()}-binaries`));
    const closed = await mkdtemp(join(tmpdir(), 'only-root-'));
    const copyTo = join(tmpdir(), `replichat-${newId()}-binaries`);
    try {
      await cp(dirname(dirname(installed.postgres)), join(closed, 'native'), {
        recursive: true,
        verbatimSymlinks: true,
      });
      const inside = (program: string) => join(closed, 'native/bin', program);
      const load = async () => ({ initdb: inside('initdb'), postgres: inside('postgres') });
      const found = await findBinaries(copyTo, load);
      expect(found.postgres).toBe(join(copyTo, 'bin/postgres'));
    } finally {
      await rm(closed, { recursive: true });
      await rm(copyTo, { recursive: true });
    }
  });

  test('a package that is not installed is ENGINE_UNAVAILABLE, with the remedy', async () => {
    const load = () => Promise.reject(new Error('Cannot find package'));
    await expect(findBinaries(join(tmpdir(), `replichat-${newId()}-binaries`), load)).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringContaining('npm install'),
    });
  });
});
