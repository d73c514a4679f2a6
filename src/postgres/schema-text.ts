import type { Column, ForeignKey, Table } from './catalog.js';

/**
 * The tables in the way of DDL, for prompts. What is longer than `maxChars` loses detail: first the comments and
 * defaults of the least important tables, then their types, then their columns, at last they are only counted. A table
 * is important when others refer to it, when it refers to others, and when it has many rows. Ends with what was left out.
 */
export function schemaText(tables: readonly Table[], maxChars: number): string {
  if (tables.length === 0) return '-- There are no tables.\n';
  const whole = tables.map(inFull).join('').trimEnd();
  return whole.length < maxChars ? `${whole}\n` : new Cut(tables, maxChars).text;
}

/** From what is left out to what is left as it is. */
const DETAILS: readonly ((table: Table) => string)[] = [
  () => '',
  (table) => `${nameOf(table)}, `,
  inLine,
  inBrief,
  inFull,
];
const [COUNTED, NAMED, IN_LINE, IN_BRIEF] = [0, 1, 2, 3];
/** What `text` adds to the tables. */
const NOTES_CHARS = 200;

class Cut {
  /** The level in DETAILS that each table gets. */
  readonly #levels: Map<Table, number>;

  constructor(
    private readonly tables: readonly Table[],
    private readonly maxChars: number,
  ) {
    this.#levels = new Map(tables.map((table) => [table, COUNTED]));
    const byImportance = sortedByImportance(tables);
    let left = maxChars - NOTES_CHARS;
    for (let level = NAMED; level < DETAILS.length; level += 1) {
      for (const table of byImportance) {
        const more = render(table, level).length - render(table, this.#levels.get(table) as number).length;
        if (more > left) continue;
        left -= more;
        this.#levels.set(table, level);
      }
    }
  }

  get text(): string {
    const shown = this.#at((level) => level >= IN_LINE).map((table) =>
      render(table, this.#levels.get(table) as number),
    );
    const named = this.#at((level) => level === NAMED).map(nameOf);
    const notes = [
      ...(named.length > 0 ? [`-- Without their columns: ${named.join(', ')}`] : []),
      `-- Left out to keep to ${this.maxChars} characters: ${this.#leftOut()}. Ask with search, or with more maxChars.`,
    ];
    return `${shown.join('')}${notes.join('\n')}\n`;
  }

  #leftOut(): string {
    const whats: [number, string][] = [
      [IN_BRIEF, 'comments and defaults of '],
      [IN_LINE, 'types of '],
      [NAMED, 'columns of '],
      [COUNTED, 'all of '],
    ];
    return whats
      .map(([level, what]): [string, number] => [what, this.#at((other) => other === level).length])
      .flatMap(([what, count]) => (count === 0 ? [] : [`${what}${count} table${count === 1 ? '' : 's'}`]))
      .join(', ');
  }

  #at(accepts: (level: number) => boolean): Table[] {
    return this.tables.filter((table) => accepts(this.#levels.get(table) as number));
  }
}

function render(table: Table, level: number): string {
  return DETAILS[level]?.(table) ?? '';
}

/** Tables that refer and are referred to first, then large ones. */
function sortedByImportance(tables: readonly Table[]): Table[] {
  const referred = new Map<string, number>();
  for (const { foreignKeys } of tables) {
    for (const key of foreignKeys) {
      const name = `${key.referencedSchema}.${key.referencedTable}`;
      referred.set(name, (referred.get(name) ?? 0) + 1);
    }
  }
  const scoreOf = (table: Table) =>
    2 * (referred.get(`${table.schema}.${table.name}`) ?? 0) +
    table.foreignKeys.length +
    Math.log10(1 + table.rowEstimate);
  const scores = new Map(tables.map((table) => [table, scoreOf(table)]));
  return tables.toSorted((a, b) => (scores.get(b) as number) - (scores.get(a) as number));
}

function inFull(table: Table): string {
  return inLines(table, true);
}

function inBrief(table: Table): string {
  return inLines(table, false);
}

/** `CREATE TABLE film (id, title, PRIMARY KEY (id), FOREIGN KEY (...) REFERENCES ...);` */
function inLine(table: Table): string {
  const parts = [...table.columns.map(({ name }) => quoted(name)), ...keysOf(table)];
  return `${headOf(table)} (${parts.join(', ')});\n`;
}

/** A line for each column and key, with `all` or only with what a query needs most. */
function inLines(table: Table, all: boolean): string {
  const columns = table.columns.map((column) => ({
    definition: `${quoted(column.name)} ${definitionOf(column, all)}`,
    remark: remarkOf(column, all),
  }));
  const parts = [...columns, ...keysOf(table).map((definition) => ({ definition, remark: '' }))];
  const lines = parts.map(
    ({ definition, remark }, index) =>
      `  ${definition}${index < parts.length - 1 ? ',' : ''}${remark === '' ? '' : ` -- ${remark}`}`,
  );
  const partitioned = table.partitionKey === null ? '' : ` PARTITION BY ${table.partitionKey}`;
  return [...remarksOf(table, all), `${headOf(table)} (`, ...lines, `)${partitioned};`, '', ''].join('\n');
}

const HEADS: Readonly<Record<Table['kind'], string>> = {
  TABLE: 'TABLE',
  PARTITIONED_TABLE: 'TABLE',
  FOREIGN_TABLE: 'FOREIGN TABLE',
  VIEW: 'VIEW',
  MATERIALIZED_VIEW: 'MATERIALIZED VIEW',
};

function headOf(table: Table): string {
  return `CREATE ${HEADS[table.kind]} ${nameOf(table)}`;
}

function remarksOf({ rowEstimate, comment }: Table, all: boolean): string[] {
  return [
    ...(comment !== null && all ? [`-- ${inOneLine(comment)}`] : []),
    ...(rowEstimate > 0 ? [`-- about ${Math.round(rowEstimate)} rows`] : []),
  ];
}

function definitionOf(column: Column, all: boolean): string {
  const parts = [column.type];
  if (!column.nullable && !column.primaryKey) parts.push('NOT NULL');
  if (column.identity) parts.push('GENERATED AS IDENTITY');
  else if (column.generated) parts.push(all ? `GENERATED ALWAYS AS (${column.default}) STORED` : 'GENERATED ALWAYS');
  else if (column.default !== null && all) parts.push(`DEFAULT ${inOneLine(column.default)}`);
  return parts.join(' ');
}

const MOST_LABELS = 12;

function remarkOf({ enumValues, comment }: Column, all: boolean): string {
  const labels = (enumValues ?? []).map((label) => `'${label.replaceAll("'", "''")}'`);
  const shown = all || labels.length <= MOST_LABELS ? labels : [...labels.slice(0, MOST_LABELS), '...'];
  return [
    ...(enumValues === null ? [] : [inOneLine(shown.join(' | '))]),
    ...(comment === null || !all ? [] : [inOneLine(comment)]),
  ].join('; ');
}

function keysOf({ primaryKey, uniqueKeys, foreignKeys }: Table): string[] {
  return [
    ...(primaryKey.length > 0 ? [`PRIMARY KEY ${listOf(primaryKey)}`] : []),
    ...uniqueKeys.map((columns) => `UNIQUE ${listOf(columns)}`),
    ...foreignKeys.map(referenceOf),
  ];
}

function referenceOf({ columns, referencedSchema, referencedTable, referencedColumns }: ForeignKey): string {
  const table = nameOf({ schema: referencedSchema, name: referencedTable });
  return `FOREIGN KEY ${listOf(columns)} REFERENCES ${table} ${listOf(referencedColumns)}`;
}

function listOf(columns: readonly string[]): string {
  return `(${columns.map(quoted).join(', ')})`;
}

/** As a session names it whose search_path is the usual one. */
function nameOf({ schema, name }: Pick<Table, 'schema' | 'name'>): string {
  return schema === 'public' ? quoted(name) : `${quoted(schema)}.${quoted(name)}`;
}

/** What an identifier must not be without quotes: pg_get_keywords(), categories R and T. */
const RESERVED = new Set(
  `all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column
  concurrently constraint create cross current_catalog current_date current_role current_schema current_time
  current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from
  full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit
  localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references
  returning right select session_user similar some symmetric system_user table tablesample then to trailing true union
  unique user using variadic verbose when where window with`.split(/\s+/),
);

function quoted(name: string): string {
  return /^[a-z_][a-z0-9_$]*$/.test(name) && !RESERVED.has(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

function inOneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}
