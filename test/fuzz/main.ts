import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { Counts, type Finding, save, shrink } from './finding.js';
import { judgeChunks, judgeLexer, lexerInput } from './lexer-oracle.js';
import type { LexerReport, LexerWork } from './lexer-worker.js';
import { psqlAvailable } from './psql.js';
import { differs, fuzzPsql } from './psql-run.js';
import { fuzzRestore } from './restore-run.js';
import { Restores } from './restoring.js';
import { dumpsOf, scriptsHere, smallLibrary } from './seeds.js';
import { dockerServer, embeddedServer, type Running } from './servers.js';

const HELP = `npm run fuzz -- [--lexer N] [--psql N] [--restore N] [--seed N] [--minutes M]

Mutates dumps, and gives them to the lexer, to psql beside the lexer, and to restores into an embedded PostgreSQL.

  --lexer N     how many through the lexer (100000)
  --psql N      how many through psql too, where there is one (5000)
  --restore N   how many through the restore (200)
  --seed N      repeats a run; by default another one every time
  --minutes M   ends after about so long (30)

Ends with exit code 1, and the shortest input in a temporary file, when something is not as it has to be.
`;

const HANGS_AFTER_MS = 30_000;
const SHRINK_MS = 60_000;
const MOST_FINDINGS = 5;

interface Options {
  readonly seed: number;
  readonly until: number;
  readonly runs: { readonly lexer: number; readonly psql: number; readonly restore: number };
}

async function main(options: Options): Promise<void> {
  const { seed, runs } = options;
  process.stdout.write(`seed ${seed}\n`);
  const seeds = [...(await scriptsHere()), ...(await pgDumps())];
  if (runs.lexer > 0) await lexerPart(seeds, options);
  if (runs.psql > 0 && (await psqlAvailable())) await psqlPart(seeds, options);
  if (runs.restore > 0) await restorePart(seeds, options);
  process.stdout.write(process.exitCode ? 'there are findings\n' : 'nothing found\n');
}

/** pg_dump dumps no server that is newer than itself: the one with which Docker's is as old comes first. */
async function pgDumps(): Promise<Buffer[]> {
  for (const start of [dockerServer, embeddedServer]) {
    const running = await start();
    const dumps = running && (await dumpsOf(running.server).finally(() => running.close()));
    if (dumps?.length) return dumps;
  }
  return [];
}

async function lexerPart(seeds: readonly Buffer[], { seed, until, runs }: Options): Promise<void> {
  const startedAt = performance.now();
  const progress = new Int32Array(new SharedArrayBuffer(4));
  const workerData: LexerWork = { seeds, seed, runs: runs.lexer, until, progress };
  const worker = new Worker(new URL('./lexer-worker.js', import.meta.url), { workerData });
  const reported = new Promise<LexerReport>((resolve, reject) => worker.once('message', resolve).once('error', reject));
  const report = await Promise.race([reported, hanging(progress)]);
  await worker.terminate();
  if (typeof report === 'number') {
    const file = lexerInput(seeds, seed, report);
    await tell({ what: `run ${report} takes the lexer longer than ${HANGS_AFTER_MS} ms`, file }, 'lexer.sql');
    return;
  }
  const counts = new Counts();
  for (const [outcome, count] of report.counts) counts.add(outcome, count);
  summary('lexer', counts, startedAt);
  if (!report.finding) return;
  const file = Buffer.from(report.finding.file);
  await tell({ ...report.finding, file }, 'lexer.sql', (shorter) => {
    return judgeLexer(shorter).complaint !== undefined || judgeChunks(shorter, [1, 2, 3, 7]).complaint !== undefined;
  });
}

/** The run at which it stands still. */
async function hanging(progress: Int32Array): Promise<number> {
  for (let last = -1; ; ) {
    await sleep(HANGS_AFTER_MS, undefined, { ref: false });
    if (progress[0] === last) return last;
    last = progress[0] as number;
  }
}

async function psqlPart(seeds: readonly Buffer[], { seed, until, runs }: Options): Promise<void> {
  const startedAt = performance.now();
  const { counts, finding } = await fuzzPsql(seeds, { seed, runs: runs.psql, onRun: () => Date.now() < until });
  summary('psql', counts, startedAt);
  if (finding) await tell(finding, 'psql.sql', differs);
}

async function restorePart(scripts: readonly Buffer[], { seed, until, runs }: Options): Promise<void> {
  const running: Running = await embeddedServer();
  let underWay: Buffer = Buffer.alloc(0);
  // What nobody awaits would end the process without a word about the file.
  const stray = (error: unknown) => {
    const what = `outside of any restore: ${(error as Error).stack ?? error}`;
    tell({ what, file: underWay }, 'restore.sql').finally(() => process.exit(1));
  };
  process.on('unhandledRejection', stray);
  process.on('uncaughtException', stray);
  try {
    const small = await smallLibrary();
    // What is restored to its end shows more than what fails soon.
    const seeds = [small, small, small, ...scripts.filter((script) => script.length < MOST_RESTORED_BYTES)];
    const restores = await Restores.on(running.server);
    const startedAt = performance.now();
    const { counts, findings } = await fuzzRestore(restores, seeds, {
      seed,
      runs: runs.restore,
      mostFindings: MOST_FINDINGS,
      onRun(file) {
        underWay = file;
        return Date.now() < until;
      },
    });
    summary('restore', counts, startedAt);
    for (const finding of findings) await tell(finding, 'restore.sql', finding.stillHolds);
    await restores.close();
  } finally {
    await running.close();
  }
}

const MOST_RESTORED_BYTES = 200_000;

function summary(what: string, counts: Counts, startedAt: number): void {
  const seconds = (performance.now() - startedAt) / 1000;
  const rate = counts.total / seconds;
  process.stdout.write(`${what}: ${counts.total} in ${seconds.toFixed(0)} s (${rate.toFixed(1)} per s): ${counts}\n`);
}

async function tell(
  { what, file }: Finding,
  name: string,
  stillHolds?: (file: Buffer) => boolean | Promise<boolean>,
): Promise<void> {
  process.exitCode = 1;
  process.stdout.write(`FOUND ${what}\n`);
  process.stdout.write(`  the input: ${await save(name, file)}\n`);
  if (!stillHolds || !(await stillHolds(file))) return;
  const shorter = await shrink(file, stillHolds, SHRINK_MS);
  process.stdout.write(`  shortened: ${await save(name, shorter)}\n`);
  if (shorter.length < 2000) process.stdout.write(`${JSON.stringify(shorter.toString('latin1'))}\n`);
}

const { values } = parseArgs({
  options: {
    lexer: { type: 'string', default: '100000' },
    psql: { type: 'string', default: '5000' },
    restore: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    minutes: { type: 'string', default: '30' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
} else {
  await main({
    seed: Number(values.seed),
    until: Date.now() + Number(values.minutes) * 60_000,
    runs: { lexer: Number(values.lexer), psql: Number(values.psql), restore: Number(values.restore) },
  });
}
