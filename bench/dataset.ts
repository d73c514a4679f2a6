import { createHash } from 'node:crypto';
import { access, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { BenchError } from './errors.js';
import { type Lab, type LabContainer, ROOM } from './lab.js';

/** A database as files. */
export interface DataSet {
  readonly name: string;
  /** pg_dump's plain format, on this machine. */
  readonly plain: string;
  readonly plainBytes: number;
  /** The same database in pg_dump's custom format; there when it was wanted. */
  readonly archive: string;
  /** What `CONTENTS` says of a database into which it has been restored as a whole. */
  readonly contents: string;
}

/** Says in words how much is in a database, so that nothing counts as a restore that is none. */
export const CONTENTS = `
WITH relation AS (
  SELECT c.oid, c.relkind FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
)
SELECT format('%s tables, %s rows, %s indexes, %s foreign keys',
  (SELECT count(*) FROM relation WHERE relkind IN ('r', 'p')),
  (SELECT sum((xpath('//count/text()', query_to_xml(format('SELECT count(*) FROM %s', oid::regclass), false, true, '')))[1]::text::bigint)
    FROM relation JOIN pg_class USING (oid) WHERE relation.relkind IN ('r', 'm') AND relispopulated),
  (SELECT count(*) FROM pg_index JOIN relation ON oid = indrelid WHERE indisvalid),
  (SELECT count(*) FROM pg_constraint JOIN relation ON relation.oid = conrelid WHERE contype = 'f' AND convalidated)
) AS contents`;

export async function contentsOf(container: LabContainer, database = 'postgres'): Promise<string> {
  return (await container.run('psql -XAt -d "$1" -c "$2"', database, CONTENTS)).trim();
}

export class DataSets {
  constructor(
    private readonly lab: Lab,
    /** Where the files go; those that lie there already are used again. */
    private readonly folder: string,
    /** Of the images by which they are made: a dump is in the language of its server. */
    private readonly imageId: string,
    private readonly log: (line: string) => void,
  ) {}

  /** The shop of shop.sql, of about so many megabytes. */
  async shop(megabytes: number, script: string, withArchive: boolean): Promise<DataSet> {
    const base = join(this.folder, `shop-${megabytes}-${await this.#keyOf(script)}`);
    const plain = `${base}.sql`;
    return this.#complete(base, { name: `shop ${megabytes} MB`, plain, withArchive }, async (container) => {
      await container.copyIn(script, '/shop.sql');
      await container.run(`psql -X -v mb=${megabytes} -d shop -f /shop.sql >/dev/null`);
      await container.run(`pg_dump --format=plain --file=${ROOM}/plain shop`);
      await container.copyOut(`${ROOM}/plain`, plain);
    });
  }

  /** A plain dump that is there already. */
  async ofFile(plain: string, withArchive: boolean): Promise<DataSet> {
    const name = basename(plain, '.sql');
    return this.#complete(
      join(this.folder, `${name}-${await this.#keyOf(plain)}`),
      { name, plain, withArchive },
      async (container) => {
        await container.copyIn(plain, '/dump.sql');
        await container.run('psql -X -d shop -f /dump.sql >/dev/null');
      },
    );
  }

  async #complete(
    base: string,
    { name, plain, withArchive }: Pick<DataSet, 'name' | 'plain'> & { withArchive: boolean },
    fill: (container: LabContainer) => Promise<void>,
  ): Promise<DataSet> {
    const archive = `${base}.dump`;
    const facts = `${base}.txt`;
    if (!(await exists(facts)) || (withArchive && !(await exists(archive)))) {
      this.log(`making the data set ${name}`);
      await this.lab.withServer('ours', async (container) => {
        await container.run('createdb shop');
        await fill(container);
        if (withArchive) {
          await container.run(`pg_dump --format=custom --file=${ROOM}/archive shop`);
          await container.copyOut(`${ROOM}/archive`, archive);
        }
        // Last, and in one go: a set that has its facts is complete.
        await writeFile(`${facts}.part`, await contentsOf(container, 'shop'));
        await rename(`${facts}.part`, facts);
      });
    }
    const contents = await readFile(facts, 'utf8');
    return { name, plain, archive, contents, plainBytes: (await stat(plain)).size };
  }

  async #keyOf(script: string): Promise<string> {
    const content = await readFile(script).catch(() => {
      throw new BenchError(`there is no file ${script}: name another by --small FILE`);
    });
    return createHash('sha256').update(content).update(this.imageId).digest('hex').slice(0, 12);
  }
}

export async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
