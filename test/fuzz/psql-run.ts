import { Counts, type Finding } from './finding.js';
import { lexerInput } from './lexer-oracle.js';
import { copiesAsLexed, type Difference, differences, notComparable } from './like-psql.js';

/** Scripts of one psql process. */
const BATCH = 200;

/** Compares what psql sends of the same inputs that the lexer is given, where the two are to be the same. */
export async function fuzzPsql(
  seeds: readonly Buffer[],
  { seed, runs, onRun = () => true }: { seed: number; runs: number; onRun?: () => boolean },
): Promise<{ counts: Counts; finding?: Finding }> {
  const counts = new Counts();
  for (let first = 0; first < runs && onRun(); first += BATCH) {
    const files = Array.from({ length: Math.min(BATCH, runs - first) }, (_, at) =>
      tamed(lexerInput(seeds, seed, first + at)),
    );
    const comparable = files.filter((file) => notComparable(file) === undefined);
    const [difference] = await differences(comparable, copiesAsLexed(comparable));
    counts.add('compared', comparable.length);
    counts.add('not comparable', files.length - comparable.length);
    if (difference) return { counts, finding: { what: describe(difference), file: difference.script } };
  }
  return { counts };
}

export async function differs(file: Buffer): Promise<boolean> {
  if (notComparable(file) !== undefined) return false;
  return (await differences([file], copiesAsLexed([file]))).length > 0;
}

/** Without what most often keeps a script from being compared. */
function tamed(file: Buffer): Buffer {
  return Buffer.from(
    file
      .toString('latin1')
      .replace(/[\0\v`]/g, '?')
      .replace(/(?<!:):(?!:)/g, '.'),
    'latin1',
  );
}

function describe({ lexer, psql }: Difference): string {
  const at = lexer.said.findIndex(
    ({ query, rows }, index) => query !== psql[index]?.query || (rows ?? psql[index]?.rows) !== psql[index]?.rows,
  );
  const [ours, theirs] = at === -1 ? [undefined, psql[lexer.said.length]] : [lexer.said[at], psql[at]];
  return `psql sends ${JSON.stringify(theirs)}, the lexer finds ${JSON.stringify(ours)}`;
}
