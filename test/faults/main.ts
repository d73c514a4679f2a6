import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import Dockerode from 'dockerode';
import { findBinaries } from '../../src/engines/embedded-binaries.js';
import { testImage } from '../support/docker.js';
import { SIZES } from './faults.js';
import { markdownOf, Results, summaryOf } from './results.js';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
const GRACE_MS = 60_000;
/** A test of what is written here, and of no fault. */
const NOT_FAULTS = 'test/faults/results';

const HELP = `npm run faults -- [--minutes M] [--out FILE] [FILE...]

Breaks what a server stands on, again and again: its process, containers, memory, disk, Docker daemon, database, clients.
Takes about 25 minutes, and writes what was demanded and seen into test/faults/RESULTS.md. What needs Docker wants a
Docker Engine, and REPLICA_IMAGE or a local image postgres:*; disks and daemons of its own want root. What cannot be done
is in the report as skipped; with REQUIRE_DOCKER=1 it fails.

  --minutes M   ends what still runs then, and says so (60)
  --out FILE    where the report goes (test/faults/RESULTS.md; nowhere when there are FILEs)
  FILE...       only these files of test/faults, such as kill or memory

Of the environment, each read by the tests, too:

${Object.entries(SIZES)
  .map(([name, { full, what }]) => `  ${`${name}=${full}`.padEnd(22)} ${what}`)
  .join('\n')}
  SEED=n                 repeats random moments
`;

interface Options {
  readonly minutes: number;
  readonly out: string | undefined;
  readonly files: readonly string[];
}

async function main({ minutes, out, files }: Options): Promise<void> {
  const [at, startedAt] = [new Date(), performance.now()];
  const sizes = Object.entries(SIZES).map(([name, { full }]) => [name, process.env[name] ?? String(full)]);
  const folder = await mkdtemp(join(tmpdir(), 'faults-'));
  try {
    const env = { ...Object.fromEntries(sizes), FAULTS_REPORT: folder };
    const endedBy = await runTests(files, env, minutes * 60_000);
    const results = new Results(
      await linesOf(join(folder, 'reports.jsonl')),
      await linesOf(join(folder, 'tests.jsonl')),
    );
    const text = markdownOf(results, {
      command: ['npm run faults', ...(files.length > 0 ? ['--', ...files] : [])].join(' '),
      at,
      seconds: (performance.now() - startedAt) / 1000,
      machine: await machine(folder),
      sizes: sizes.map(([name, value]) => `${name}=${value}`),
      endedBy,
      root: ROOT,
    });
    process.stdout.write(`\n${text}\n${summaryOf(results)}\n`);
    if (out) await writeFile(out, text);
    if (endedBy || !results.haveHeld) process.exitCode = 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Resolves with why they were ended early, if so. In a group of their own, so that all that they have started ends. */
async function runTests(
  files: readonly string[],
  env: Record<string, string>,
  limitMs: number,
): Promise<string | undefined> {
  const patterns = files.length > 0 ? files.map((file) => `test/faults/${file}`) : ['test/faults'];
  const jest = join(ROOT, 'node_modules/jest/bin/jest.js');
  const reporters = ['--reporters=default', `--reporters=${join(ROOT, 'test/faults/recorder.js')}`];
  // Whatever follows such an option belongs to it.
  const child = spawn(process.execPath, [jest, ...patterns, ...reporters, `--testPathIgnorePatterns=${NOT_FAULTS}`], {
    cwd: ROOT,
    env: { ...process.env, ...env, NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning' },
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  let endedBy: string | undefined;
  let killing: NodeJS.Timeout | undefined;
  const end = (why: string) => {
    if (endedBy) return;
    endedBy = why;
    const all = -(child.pid as number);
    process.kill(all, 'SIGINT');
    killing = setTimeout(() => process.kill(all, 'SIGKILL'), GRACE_MS);
  };
  const timer = setTimeout(() => end(`it took longer than ${limitMs / 60_000} minutes`), limitMs);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => end(`by ${signal}`));
  await new Promise((resolve) => child.once('exit', resolve));
  clearTimeout(timer);
  clearTimeout(killing);
  return endedBy;
}

async function linesOf<T>(file: string): Promise<T[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

async function machine(folder: string): Promise<string[]> {
  return [
    `${cpus().length} cores`,
    `${Math.round(totalmem() / 2 ** 30)} GiB`,
    `Node ${process.versions.node}`,
    `embedded ${await embeddedVersion(folder).catch(() => 'PostgreSQL: none')}`,
    await dockerVersions().catch(() => 'no Docker Engine'),
  ];
}

async function embeddedVersion(folder: string): Promise<string> {
  const { postgres, account } = await findBinaries(join(folder, 'binaries'));
  const { stdout } = await promisify(execFile)(postgres, ['--version'], { ...account, cwd: '/' });
  return nameAndNumber(stdout);
}

async function dockerVersions(): Promise<string> {
  const docker = new Dockerode();
  const { Version } = await docker.version();
  const image = (await testImage(docker)) as string;
  const container = await docker.createContainer({
    Image: image,
    Entrypoint: ['bash', '-c', 'PATH=$PATH:$(echo /usr/lib/postgresql/*/bin); postgres --version'],
    HostConfig: { NetworkMode: 'none' },
    Tty: true,
  });
  try {
    await container.start();
    await container.wait();
    const said = await container.logs({ stdout: true });
    return `Docker ${Version}, image ${image} with ${nameAndNumber(String(said))}`;
  } finally {
    await container.remove({ force: true, v: true });
  }
}

/** "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)" is PostgreSQL 15.18. */
function nameAndNumber(said: string): string {
  return `PostgreSQL ${/ (\d\S*)/.exec(said)?.[1] ?? 'of unknown version'}`;
}

const { values, positionals: files } = parseArgs({
  allowPositionals: true,
  options: { minutes: { type: 'string', default: '60' }, out: { type: 'string' }, help: { type: 'boolean' } },
});
if (values.help) process.stdout.write(HELP);
else {
  const results = files.length > 0 ? undefined : join(ROOT, 'test/faults/RESULTS.md');
  await main({ minutes: Number(values.minutes), out: values.out ?? results, files });
}
