import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Dockerode from 'dockerode';
import type { Config } from '../src/config.js';
import { messageOf } from '../src/domain/errors.js';
import { testImage } from '../test/support/docker.js';
import { type DataSet, DataSets, exists } from './dataset.js';
import { BenchError } from './errors.js';
import { Lab } from './lab.js';
import type { Options } from './options.js';
import { Replichat } from './replichat.js';
import type { Circumstances } from './report.js';
import { type Results, SetResults } from './results.js';
import { pgRestore, psql } from './ways/in-server.js';
import { oldService } from './ways/old-service.js';
import { replichat } from './ways/replichat.js';
import type { Letter, Measured, Way } from './ways/way.js';

export interface Surroundings {
  log: (line: string) => void;
  /** Rejects when it is to end early. */
  interrupted: () => Promise<never>;
}

export interface Outcome {
  readonly results: Results;
  readonly circumstances: Omit<Circumstances, 'command' | 'at'>;
}

/** Whatever becomes of it, nothing is left of what it has started. `root` is the project's folder. */
export async function bench(
  options: Options,
  config: Config,
  root: string,
  { log, interrupted }: Surroundings,
): Promise<Outcome> {
  const run = new Run(options, config, root, log);
  try {
    return await Promise.race([run.outcome(), interrupted()]);
  } finally {
    await run.close();
  }
}

class Run {
  readonly #docker = new Dockerode();
  /** What is to be undone, last in, first out. */
  readonly #releasers: (() => Promise<unknown>)[] = [];
  #closed = false;

  constructor(
    private readonly options: Options,
    private readonly config: Config,
    private readonly root: string,
    private readonly log: (line: string) => void,
  ) {}

  async outcome(): Promise<Outcome> {
    const { rounds, only, megabytes, scale } = this.options;
    const { memoryBytes, cpus } = this.config.replica;
    const image = await this.#image();
    const cores = cpus ?? (await this.#docker.info()).NCPU;
    const scratch = await mkdtemp(join(tmpdir(), 'replichat-bench-'));
    this.#releasers.push(() => rm(scratch, { recursive: true, force: true }));
    const lab = new Lab({ docker: this.#docker, image: image.name, memoryBytes, cpus });
    this.#releasers.push(() => lab.close());
    this.log(`containers are labelled ${lab.label}`);

    const sets = new DataSets(lab, await this.#keptIn(scratch), image.id, this.log);
    const withArchive = only.has('c');
    const shop = join(this.root, 'bench/shop.sql');
    const large = await sets.shop(megabytes, shop, withArchive);
    const smallFile = await this.#smallFile();
    const small = smallFile === undefined ? undefined : await sets.ofFile(smallFile, withArchive);
    const scaled = scale === undefined ? undefined : await sets.shop(megabytes * scale, shop, false);

    const server = only.has('d') ? await this.#startReplichat(image.name, join(scratch, 'server')) : undefined;
    const ways = waysOf(lab, server).filter(({ letter }) => only.has(letter));
    const [ofLarge, ofSmall] = await this.#rounds(ways, rounds, small ? [large, small] : [large]);
    const [ofScaled] = scaled ? await this.#rounds(ways.filter(isReplichat), 1, [scaled]) : [];
    const queries = await server?.queries();
    return {
      results: { large: ofLarge as SetResults, small: ofSmall, scaled: ofScaled, queries },
      circumstances: { image: image.name, cores, memoryBytes, rounds, postgres: await versionIn(large.plain) },
    };
  }

  /** Every way with every data set, round by round, each round beginning with another way. */
  async #rounds(ways: readonly Way[], rounds: number, sets: readonly DataSet[]): Promise<SetResults[]> {
    const runs = new Map(sets.map((set) => [set, new Map(ways.map((way): [Way, Measured[]] => [way, []]))]));
    for (let round = 0; round < rounds; round += 1) {
      for (const [set, ofSet] of runs) {
        for (const way of rotated(ways, round)) {
          const measured = await this.#measure(way, set);
          this.log(`round ${round + 1} of ${rounds}, ${set.name}, ${way.name}: ${measured.seconds.toFixed(2)} s`);
          ofSet.get(way)?.push(measured);
        }
      }
    }
    return [...runs].map(
      ([set, ofSet]) =>
        new SetResults(
          set,
          [...ofSet].map(([way, runs]) => ({ way, runs })),
        ),
    );
  }

  async #measure(way: Way, set: DataSet): Promise<Measured> {
    // What the way before has left to write would be this one's.
    await promisify(execFile)('sync');
    const measured = await way.measure(set);
    if (measured.contents === set.contents) return measured;
    throw new BenchError(
      `(${way.letter}) ${way.name} did not restore all of ${set.name}: ${measured.contents} instead of ${set.contents}`,
    );
  }

  async #image(): Promise<{ name: string; id: string }> {
    await this.#docker.ping().catch((error) => {
      throw new BenchError(`no Docker Engine answers (${messageOf(error)}): start one, or point DOCKER_HOST at it`);
    });
    const found = await testImage(this.#docker);
    if (found === undefined) {
      throw new BenchError(
        'the Docker Engine has no PostgreSQL image: `docker pull postgres:17`, or `.ci/postgres-image replichat-postgres:15`',
      );
    }
    const name = found.replaceAll('{major}', String(this.config.replica.defaultMajor));
    try {
      return { name, id: (await this.#docker.getImage(name).inspect()).Id };
    } catch (error) {
      throw new BenchError(`there is no image ${name} (${messageOf(error)}): pull it, or set REPLICA_IMAGE to another`);
    }
  }

  async #keptIn(scratch: string): Promise<string> {
    const { keep = scratch } = this.options;
    await mkdir(keep, { recursive: true });
    return keep;
  }

  /** What the user has named, or the first that there is. */
  async #smallFile(): Promise<string | undefined> {
    if (this.options.small === null) return undefined;
    if (this.options.small !== undefined) return this.options.small;
    const example = join(this.root, 'examples/library.sql');
    const pagila = join(this.root, '../shared/dumps/pagila.sql');
    return (await exists(pagila)) ? pagila : example;
  }

  async #startReplichat(image: string, folder: string): Promise<Replichat> {
    const main = join(this.root, 'dist/main.js');
    if (!(await exists(main))) throw new BenchError(`there is no ${main}: \`npm run build\` makes it`);
    if (this.#closed) throw new BenchError('the benchmark has ended');
    const starting = Replichat.start({ docker: this.#docker, image, main, folder });
    this.#releasers.push(async () => (await starting.catch(() => undefined))?.close());
    const server = await starting;
    const plain = join(this.root, 'examples/library.sql');
    await server.warmUp({ plain, plainBytes: (await stat(plain)).size });
    return server;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const release of this.#releasers.toReversed()) {
      await release().catch((error) => this.log(`something may be left behind: ${messageOf(error)}`));
    }
  }
}

function waysOf(lab: Lab, server: Replichat | undefined): Way[] {
  return [
    oldService(lab),
    psql(lab, 'stock'),
    psql(lab, 'ours'),
    pgRestore(lab, 'stock', 2),
    pgRestore(lab, 'ours', 2),
    pgRestore(lab, 'stock', 4),
    pgRestore(lab, 'ours', 4),
    ...(server ? [replichat(server)] : []),
  ];
}

function isReplichat({ letter }: { letter: Letter }): boolean {
  return letter === 'd';
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const first = by % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

/** From the header of a plain dump. */
async function versionIn(plain: string): Promise<string> {
  await using file = await open(plain);
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(4096) });
  return /^-- Dumped from database version (\S+)/m.exec(buffer.toString('utf8', 0, bytesRead))?.[1] ?? 'unknown';
}
