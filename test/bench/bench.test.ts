import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import { LABEL } from '../../src/engines/docker-container.js';
import { presenceFolder } from '../../src/engines/presence.js';
import { dockerAvailable } from '../support/docker.js';
import { type Build, buildServer } from '../support/server-process.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MINUTES = 60_000;
const LOOK_MS = 200;

const docker = new Dockerode();

((await dockerAvailable()) ? describe : describe.skip)('npm run bench', () => {
  let build: Build;
  let folder: string;

  beforeAll(async () => {
    build = await buildServer();
    folder = await mkdtemp(join(tmpdir(), 'bench-test-'));
    const project = dirname(dirname(build.main));
    for (const name of ['bench', 'examples']) await symlink(join(ROOT, name), join(project, name));
    const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
    const output = ['-p', join(ROOT, 'tsconfig.bench.json'), '--outDir', join(project, 'dist-bench')];
    await promisify(execFile)(process.execPath, [compiler, ...output]);
  }, 5 * MINUTES);
  afterAll(async () => {
    await build?.remove();
    await rm(folder, { recursive: true, force: true });
  });

  test(
    'measures every way with both data sets, writes it down, and leaves nothing behind',
    async () => {
      const out = join(folder, 'results/RESULTS.md');
      const run = await Bench.start(build, folder, ['--size', '20', '--rounds', '1', '--out', out]);
      expect(await run.exitCode).toBe(0);
      const report = await readFile(out, 'utf8');
      expect(run.stdout).toContain(report);
      for (const title of ['shop 20 MB', 'library']) {
        const section = sectionOf(report, title);
        expect(section).toMatch(/^A plain dump of [\d.]+ MB: \d+ tables, \d+ rows, \d+ indexes, \d+ foreign keys\.$/m);
        const [, ...ways] = tableRows(section, 'way');
        expect(ways.map(([way]) => way)).toEqual([
          '(a) docker run, docker cp, sleep 3, psql -f',
          '(b) psql -f, stock',
          '(b) psql -f, our settings',
          '(c) pg_restore -j 2, stock',
          '(c) pg_restore -j 2, our settings',
          '(c) pg_restore -j 4, stock',
          '(c) pg_restore -j 4, our settings',
          '(d) Replichat',
        ]);
        for (const [way, median, rounds, ratio] of ways) {
          expect([way, Number(median) > (way?.startsWith('(a)') ? 3 : 0.01), Number(median) < 600]).toEqual([
            way,
            true,
            true,
          ]);
          expect(rounds).toBe(median);
          expect(Number(ratio)).toBeGreaterThan(0);
        }
        const facts = new Map(tableRows(section, 'of Replichat').map(([name, value]) => [name, value]));
        expect(numbers(facts.get('CPU seconds of the container'))[0]).toBeGreaterThan(0.1);
        const [p50 = 0, p99 = 0, most = 0, requests = 0] = numbers(facts.get('API p50, p99, max'), /p\d+/g);
        const seconds = Number(ways.at(-1)?.[1]);
        // Ten times a second, less what a busy machine takes from the probe.
        expect([p50 > 0, p50 <= p99, p99 <= most, requests >= 3 * seconds]).toEqual([true, true, true, true]);
        const [idle = 0, highest = 0] = numbers(facts.get('memory idle, most, growth'));
        expect([idle > 20, highest > 20, highest < 2000]).toEqual([true, true, true]);
        expect(numbers(facts.get('reset'))[0]).toBeGreaterThan(0);
      }
      const [, ...queries] = tableRows(sectionOf(report, 'Small queries'), 'query');
      expect(queries.map(([sql]) => sql)).toEqual(['`SELECT 1`', '`SELECT * FROM lookup WHERE id = 4711`']);
      for (const [, direct, , http] of queries) {
        expect(Number(direct)).toBeGreaterThan(0);
        expect(Number(http)).toBeGreaterThan(Number(direct));
      }
      const [, ...targets] = tableRows(sectionOf(report, 'Targets'), 'target');
      expect(targets).toHaveLength(12);
      for (const target of targets) expect(target[3]).toMatch(/^(met|missed|not measured)$/);
      expect(await run.remains()).toEqual([]);
    },
    20 * MINUTES,
  );

  test(
    'leaves nothing behind when it is interrupted',
    async () => {
      const args = [
        '--size',
        '1',
        '--rounds',
        '99',
        '--only',
        'b,d',
        '--small',
        'none',
        '--out',
        join(folder, 'none.md'),
      ];
      const run = await Bench.start(build, folder, args);
      await run.said(/^round 1 of 99, .* Replichat/);
      run.interrupt();
      expect(await run.exitCode).toBe(1);
      expect(run.stderr.at(-1)).toBe('ended by SIGINT');
      expect(await run.remains()).toEqual([]);
    },
    10 * MINUTES,
  );

  test.each([
    [['--size', 'large'], '--size: "large" is out of range; give a whole number from 1 to'],
    [['--only', 'a,e'], '--only: "e" is unknown; give some of a, b, c, d'],
    [['--small', 'no.sql', '--size', '1'], 'there is no file no.sql: name another by --small FILE'],
    [['--fast'], '--help tells what there is'],
  ])('ends with a word of advice after %j', async (args, advice) => {
    const run = await Bench.start(build, folder, args);
    expect(await run.exitCode).toBe(1);
    expect(run.stderr.at(-1)).toContain(advice);
    expect(await run.remains()).toEqual([]);
  });
});

/** A run of the benchmark as a process, and what it has made in the Docker Engine. */
class Bench {
  readonly exitCode: Promise<number>;
  readonly stderr: string[] = [];
  stdout = '';
  readonly #containers = new Set<string>();
  readonly #volumes = new Set<string>();
  readonly #labels = new Set<string>();
  readonly #looking: Promise<void>;

  private constructor(
    private readonly child: ChildProcess,
    private readonly temp: string,
  ) {
    this.exitCode = once(child, 'close').then(([code]) => code);
    child.stdout?.on('data', (chunk) => {
      this.stdout += chunk;
    });
    if (child.stderr) createInterface({ input: child.stderr }).on('line', (line) => this.stderr.push(line));
    this.#looking = this.#look();
  }

  static async start(build: Build, folder: string, args: string[]): Promise<Bench> {
    const temp = await mkdtemp(join(folder, 'temp-'));
    const main = join(dirname(dirname(build.main)), 'dist-bench/bench/main.js');
    const small = args.includes('--small') ? [] : ['--small', join(ROOT, 'examples/library.sql')];
    const child = spawn(process.execPath, [main, ...small, ...args], {
      env: { ...process.env, TMPDIR: temp },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Bench(child, temp);
  }

  async said(pattern: RegExp): Promise<void> {
    while (!this.stderr.some((line) => pattern.test(line))) {
      if (this.child.exitCode !== null) throw new Error(`it ended: ${this.stderr.join('\n')}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  interrupt(): void {
    this.child.kill('SIGINT');
  }

  /** What is left of it: containers, volumes and files. */
  async remains(): Promise<string[]> {
    await this.#looking;
    const containers = await docker.listContainers({ all: true });
    const { Volumes: volumes } = await docker.listVolumes();
    return [
      ...containers.map(({ Id }) => Id).filter((id) => this.#containers.has(id)),
      ...volumes.map(({ Name }) => Name).filter((name) => this.#volumes.has(name)),
      ...(await readdir(this.temp)),
    ];
  }

  /** Until it has ended: its containers are told from others by the label that it names, and by its server's folder. */
  async #look(): Promise<void> {
    while (this.child.exitCode === null && this.child.signalCode === null) {
      for (const line of this.stderr) {
        const label = /^containers are labelled (\S+)$/.exec(line)?.[1];
        if (label) this.#labels.add(label);
      }
      for (const name of await readdir(this.temp)) {
        try {
          this.#labels.add(`${LABEL.presence}=${presenceFolder(join(this.temp, name, 'server'))}`);
        } catch {
          // There is none yet, or no longer.
        }
      }
      for (const label of this.#labels) {
        for (const { Id, Mounts } of await docker.listContainers({ all: true, filters: { label: [label] } })) {
          this.#containers.add(Id);
          for (const { Name } of Mounts) if (Name) this.#volumes.add(Name);
        }
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
}

function sectionOf(report: string, title: string): string {
  const section = report.split(/^## /m).find((part) => part.startsWith(`${title}\n`));
  if (section === undefined) throw new Error(`no section ${title} in:\n${report}`);
  return section;
}

/** The cells of the table whose first column has this title; the first row is its head. */
function tableRows(section: string, title: string): string[][] {
  const lines = section.split('\n');
  const head = lines.findIndex((line) => line.startsWith(`| ${title} `));
  const table = lines.slice(head);
  const end = table.findIndex((line) => !line.startsWith('|'));
  const rows = end < 0 ? table : table.slice(0, end);
  return rows
    .filter((line) => !/^[| -]+$/.test(line))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

function numbers(text: string | undefined, but?: RegExp): number[] {
  const numbersOnly = but ? text?.replace(but, '') : text;
  return (numbersOnly?.match(/\d+(?:\.\d+)?/g) ?? []).map(Number);
}
