import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type Dockerode from 'dockerode';
import { newId } from '../src/domain/ids.js';
import { containerOptions } from '../src/engines/docker-container.js';
import { reasonOf, statusOf } from '../src/engines/docker-errors.js';
import { FrameReader } from '../src/engines/docker-frames.js';
import { removeContainer } from '../src/engines/docker-server.js';
import { serverSettings } from '../src/postgres/boot.js';
import { BenchError } from './errors.js';
import { tarOf } from './tar.js';

const LABEL = 'replichat.bench';
const SOCKETS = '/tmp';

/** The folder in which a container of the lab has room for large files. */
export const ROOM = '/var/lib/postgresql';

const PATH_OF_POSTGRESQL = 'for bin in /usr/lib/postgresql/*/bin; do PATH=$PATH:$bin; done';

/** Works with and without the official image's entrypoint. The arguments are settings; without any it is a stock server. */
const BOOT = `
set -eu
${PATH_OF_POSTGRESQL}
data=${ROOM}/bench
options=
if [ $# -gt 0 ] && initdb --help | grep -q -- --no-data-checksums; then options=--no-data-checksums; fi
initdb -D $data --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 $options >/dev/null
printf '%s\\n' "$@" >>$data/postgresql.conf
postgres -D $data -k ${SOCKETS} &
trap "kill -QUIT $!" TERM INT QUIT
wait $!
`;

const WAIT = `
for _ in $(seq 600); do pg_isready -q && exit; sleep 0.1; done
echo 'PostgreSQL does not answer' >&2
exit 1
`;

export interface LabOptions {
  docker: Dockerode;
  image: string;
  /** Of each container, as of a replica's. */
  memoryBytes: number;
  cpus: number | undefined;
}

/** How the server is set: as initdb leaves it, or as Replichat sets its replicas. */
export type Settings = 'stock' | 'ours';

/** Makes containers with a PostgreSQL of their own and the limits of a replica's, and leaves none behind. */
export class Lab {
  /** What its containers are labelled with. */
  readonly label = `${LABEL}=${newId()}`;
  readonly #options: LabOptions;
  readonly #starting = new Set<Promise<unknown>>();
  #closed = false;

  constructor(options: LabOptions) {
    this.#options = options;
  }

  /** Runs `use` with a fresh container, whose PostgreSQL may not answer yet. */
  async withContainer<T>(settings: Settings, use: (container: LabContainer) => Promise<T>): Promise<T> {
    const starting = this.#start(settings);
    this.#starting.add(starting);
    const container = await starting.finally(() => this.#starting.delete(starting));
    try {
      return await use(new LabContainer(container));
    } finally {
      await removeContainer(container);
    }
  }

  /** The same, and PostgreSQL answers. */
  withServer<T>(settings: Settings, use: (container: LabContainer) => Promise<T>): Promise<T> {
    return this.withContainer(settings, async (container) => {
      await container.ready();
      return use(container);
    });
  }

  async #start(settings: Settings): Promise<Dockerode.Container> {
    if (this.#closed) throw new BenchError('the benchmark has ended');
    const { docker, image, memoryBytes, cpus } = this.#options;
    const name = `replichat-bench-${newId()}`;
    const limits = containerOptions({
      name,
      image,
      memoryBytes,
      cpus,
      volumes: [],
      instance: '',
      chatId: '',
      password: '',
    });
    const ours = { memoryBytes, listenAddresses: '', unixSocketDirectories: SOCKETS };
    try {
      const container = await docker.createContainer({
        name,
        Image: image,
        User: '999:999',
        Entrypoint: ['bash', '-c', BOOT, 'boot'],
        Cmd: settings === 'ours' ? serverSettings(ours) : [],
        Env: [`PGHOST=${SOCKETS}`, 'PGUSER=postgres'],
        Labels: Object.fromEntries([this.label.split('=')]),
        HostConfig: { ...limits.HostConfig, ReadonlyRootfs: false },
      });
      await container.start();
      return container;
    } catch (error) {
      if (statusOf(error) !== 404) throw error;
      throw new BenchError(`there is no image ${image}: \`docker pull\` it, or set REPLICA_IMAGE to one that is there`);
    }
  }

  /** Removes what is left; whoever still works in a container fails. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#starting);
    await removeLabelled(this.#options.docker, this.label);
  }
}

export async function removeLabelled(docker: Dockerode, label: string): Promise<void> {
  const left = await docker.listContainers({ all: true, filters: { label: [label] } });
  await Promise.all(left.map(({ Id }) => removeContainer(docker.getContainer(Id))));
}

export class LabContainer {
  constructor(private readonly container: Dockerode.Container) {}

  /** Waits until PostgreSQL answers. */
  async ready(): Promise<void> {
    await this.run(WAIT).catch(async (error) => {
      const logs = await this.container.logs({ stdout: true, stderr: true, tail: 10 });
      const said = outputOf(logs);
      throw new BenchError(`${reasonOf(error)}\n${said.stdout}${said.stderr}`.trim());
    });
  }

  /** What a script of bash writes to stdout; rejects, with what it writes to stderr, when it fails. */
  async run(script: string, ...args: string[]): Promise<string> {
    const { exec, stream } = await this.#exec(script, args);
    const { stdout, stderr } = outputOf(Buffer.concat(await stream.toArray()));
    const { ExitCode } = await exec.inspect();
    if (ExitCode === 0) return stdout;
    throw new BenchError(`a command in the container failed (${ExitCode}): ${stderr.slice(-2000).trim()}`);
  }

  /** As `docker cp` does it. */
  async copyIn(file: string, path: string): Promise<void> {
    const { size } = await stat(file);
    const tar = Readable.from(tarOf(posix.basename(path), size, createReadStream(file, { highWaterMark: 2 ** 20 })));
    await this.container.putArchive(tar, { path: posix.dirname(path) });
  }

  async copyOut(path: string, file: string): Promise<void> {
    const { stream } = await this.#exec('cat "$1"', [path]);
    const frames = new FrameReader();
    await pipeline(
      stream,
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          for (const { stream, payload } of frames.read(chunk)) if (stream === 'stdout') yield payload;
        }
      },
      createWriteStream(file),
    );
    const { size } = await stat(file);
    const expected = Number(await this.run('stat -c %s "$1"', path));
    if (size !== expected) throw new BenchError(`${size} of ${expected} bytes of ${path} came out of the container`);
  }

  async #exec(script: string, args: string[]) {
    const exec = await this.container.exec({
      Cmd: ['bash', '-c', `${PATH_OF_POSTGRESQL}\n${script}`, 'bench', ...args],
      AttachStdout: true,
      AttachStderr: true,
    });
    return { exec, stream: await exec.start({ hijack: true }) };
  }
}

function outputOf(multiplexed: Buffer): { stdout: string; stderr: string } {
  const parts: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
  for (const { stream, payload } of new FrameReader().read(multiplexed)) parts[stream].push(payload);
  return { stdout: Buffer.concat(parts.stdout).toString(), stderr: Buffer.concat(parts.stderr).toString() };
}
