import { parseArgs } from 'node:util';
import { BenchError } from './errors.js';
import { TAR_LIMIT } from './tar.js';
import type { Letter } from './ways/way.js';

export interface Options {
  readonly help: boolean;
  readonly megabytes: number;
  readonly rounds: number;
  readonly only: ReadonlySet<Letter>;
  /** A dump to measure beside the large one; null for none, undefined for the one that is there. */
  readonly small: string | null | undefined;
  /** How many times as large the dump for one more look at the memory is; undefined for none. */
  readonly scale: number | undefined;
  readonly keep: string | undefined;
  readonly out: string | undefined;
}

const LETTERS: readonly Letter[] = ['a', 'b', 'c', 'd'];
const MOST_MEGABYTES = Math.floor(TAR_LIMIT / 1.1e6);

export const HELP = `Usage: npm run bench -- [options]

Measures, side by side and each time in a fresh container, how long it takes to get a dump into a PostgreSQL:

  a  as the service before Replichat did it: docker run, docker cp, sleep 3, psql -f
  b  psql -f, the file already in the container of a server that is ready; stock settings, and ours
  c  pg_restore -j 2 and -j 4 of the custom format, likewise
  d  Replichat, from the first byte of the upload to READY

  --size MB      of the large dump, which is made by bench/shop.sql [500]
  --rounds N     how often each is measured; the order changes with every round [3]
  --only a,d     measures these ways only
  --small FILE   a second dump, plain; "none" for none [../shared/dumps/pagila.sql if there, else examples/library.sql]
  --scale N      watches Replichat's memory once more, with a dump N times as large
  --keep DIR     where the data sets are kept for the next time; without it they are made anew
  --out FILE     where the report goes, in Markdown [bench/RESULTS.md]
  --help

A Docker Engine is needed, and REPLICA_IMAGE, or a local image postgres:* or replichat-postgres:15. REPLICA_MEMORY and
REPLICA_CPUS are the limits of all containers, as they are of replicas.
`;

export function optionsOf(args: string[]): Options {
  const values = parse(args);
  const megabytes = wholeNumber('--size', values.size, 1, MOST_MEGABYTES);
  const scale = values.scale === undefined ? undefined : wholeNumber('--scale', values.scale, 2, 1000);
  if (scale !== undefined && megabytes * scale > MOST_MEGABYTES) {
    throw new BenchError(
      `--scale: ${megabytes} MB times ${scale} is too much; at most ${MOST_MEGABYTES} MB can be sent`,
    );
  }
  return {
    help: values.help,
    megabytes,
    scale,
    rounds: wholeNumber('--rounds', values.rounds, 1, 1000),
    only: new Set(values.only === undefined ? LETTERS : values.only.split(',').map(letterOf)),
    small: values.small === 'none' ? null : values.small,
    keep: values.keep,
    out: values.out,
  };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        help: { type: 'boolean', default: false },
        size: { type: 'string', default: '500' },
        rounds: { type: 'string', default: '3' },
        only: { type: 'string' },
        small: { type: 'string' },
        scale: { type: 'string' },
        keep: { type: 'string' },
        out: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw new BenchError(`${(error as Error).message}; --help tells what there is`);
  }
}

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new BenchError(`${name}: "${text}" is out of range; give a whole number from ${least} to ${most}`);
}

function letterOf(text: string): Letter {
  const letter = LETTERS.find((known) => known === text.trim());
  if (letter) return letter;
  throw new BenchError(`--only: "${text}" is unknown; give some of ${LETTERS.join(', ')}, separated by commas`);
}
