import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newId } from '../../src/domain/ids.js';
import { findBinaries } from '../../src/engines/embedded-binaries.js';
import { save } from './finding.js';
import { fuzzLexer } from './lexer-run.js';
import { fuzzRestore } from './restore-run.js';
import { Restores } from './restoring.js';
import { scriptsHere, smallLibrary } from './seeds.js';
import { embeddedServer, type Running } from './servers.js';

/** SEED=n tries other mutations; `npm run fuzz` tries many. */
const SEED = Number(process.env.SEED ?? 20_260_101);
const LEXER_RUNS = 3000;
const RESTORE_RUNS = 15;

describe('a mutated dump', () => {
  test(`is split, or refused with a line of its own: ${LEXER_RUNS} of them`, async () => {
    const { counts, finding } = fuzzLexer(await scriptsHere(), { seed: SEED, runs: LEXER_RUNS });
    expect(finding && { seed: SEED, what: finding.what, input: await save('lexer.sql', finding.file) }).toBeUndefined();
    expect(counts.total).toBe(LEXER_RUNS);
    // Mutations that always spoil everything would show nothing.
    expect(new Map(counts.entries()).get('tokens')).toBeGreaterThan(LEXER_RUNS / 10);
  });
});

const available = await findBinaries(join(tmpdir(), `replichat-${newId()}-binaries`)).then(
  () => true,
  () => false,
);
if (!available) process.stderr.write('skipping the fuzz of restores: the embedded PostgreSQL is not installed\n');

(available ? describe : describe.skip)('the restore of a mutated dump', () => {
  let running: Running;
  let restores: Restores;
  beforeAll(async () => {
    running = await embeddedServer();
    restores = await Restores.on(running.server);
  });
  afterAll(async () => {
    await restores?.close();
    await running?.close();
  });

  test('is complete where nothing is mutated', async () => {
    const run = { onError: 'STOP', sizes: [1000] } as const;
    expect(await restores.judge(await smallLibrary(), run)).toEqual({ outcome: 'restored' });
  });

  test(`succeeds, or fails with its place: ${RESTORE_RUNS} of them`, async () => {
    const { counts, findings } = await fuzzRestore(restores, [await smallLibrary()], {
      seed: SEED,
      runs: RESTORE_RUNS,
    });
    const [finding] = findings;
    expect(
      finding && { seed: SEED, what: finding.what, input: await save('restore.sql', finding.file) },
    ).toBeUndefined();
    expect(counts.total).toBe(RESTORE_RUNS);
  });
});
