import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import { pino } from 'pino';
import { newId } from '../../src/domain/ids.js';
import { DockerEngine } from '../../src/engines/docker.js';
import { dockerAvailable } from '../support/docker.js';
import { eventually } from '../support/eventually.js';
import { ownPort } from '../support/ports.js';

const available = (await dockerAvailable()) && registryInstalled();

/** Debian's docker-registry. The Docker Engine of this machine can reach it, because it may use plain HTTP on loopback. */
function registryInstalled(): boolean {
  try {
    execFileSync('docker-registry', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    if (process.env.REQUIRE_DOCKER === '1') throw new Error('REQUIRE_DOCKER=1, but docker-registry is not installed');
    process.stderr.write('skipping what pulls an image: docker-registry is not installed\n');
    return false;
  }
}

(available ? describe : describe.skip)('an image that is missing', () => {
  const docker = new Dockerode();
  const content = randomBytes(8 * 1024 * 1024);
  let folder: string;
  let registry: ChildProcess;
  let repository: string;
  let engine: DockerEngine;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'replichat-registry-'));
    const port = await ownPort();
    repository = `localhost:${port}/replichat-test`;
    await writeFile(
      join(folder, 'config.yml'),
      `version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: ${folder}\nhttp:\n  addr: 127.0.0.1:${port}\n`,
    );
    registry = spawn('docker-registry', ['serve', join(folder, 'config.yml')], { stdio: 'ignore' });
    await eventually('the registry answers', async () =>
      fetch(`http://127.0.0.1:${port}/v2/`).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
    await publish(`${repository}:15`);
    engine = new DockerEngine({
      instance: newId(),
      image: `${repository}:{major}`,
      defaultMajor: 15,
      memoryBytes: 256 * 1024 * 1024,
      logger: pino({ level: 'silent' }),
    });
  });

  afterAll(async () => {
    await engine?.close();
    await docker
      .getImage(`${repository}:15`)
      .remove()
      .catch(() => {});
    registry?.kill();
    await rm(folder, { recursive: true, force: true });
  });

  /** One file, which makes it an image that can be pulled and holds no PostgreSQL. */
  async function publish(name: string): Promise<void> {
    await writeFile(join(folder, 'content'), content);
    execFileSync('sh', ['-c', `tar -C "${folder}" -c content | docker import - "${name}"`], { stdio: 'ignore' });
    execFileSync('docker', ['push', name], { stdio: 'ignore' });
    execFileSync('docker', ['rmi', name], { stdio: 'ignore' });
  }

  async function provision(majorVersion: number | undefined): Promise<{ activities: string[]; failure: unknown }> {
    const activities: string[] = [];
    const failure = await engine
      .provision({
        chatId: newId(),
        majorVersion,
        signal: AbortSignal.timeout(200_000),
        onProgress: (activity) => activities.push(activity),
      })
      .catch((error) => error);
    return { activities, failure };
  }

  test('is pulled, and the pull is told of; one without PostgreSQL is said to be that', async () => {
    const { activities, failure } = await provision(undefined);
    expect(activities[0]).toBe(`pulling image ${repository}:15`);
    expect(activities.some((activity) => /\d+ of \d+ MB/.test(activity))).toBe(true);
    expect(activities.at(-1)).toBe('starting PostgreSQL');
    expect(failure).toMatchObject({ code: 'ENGINE_UNAVAILABLE', message: expect.stringMatching(/bash|PostgreSQL/) });
  });

  test('is ENGINE_UNAVAILABLE when there is none to pull, and says which', async () => {
    const { failure } = await provision(16);
    expect(failure).toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringContaining(`the dump needs PostgreSQL 16 or newer, but the image ${repository}:16 is not`),
    });
  });
});
