import fc from 'fast-check';

/**
 * Scripts whose parts are known. Text is written as latin1, one character for each byte: scripts need not be UTF-8.
 */
export interface Script {
  readonly text: string;
  readonly parts: readonly PlacedPart[];
}

export type Part =
  | { readonly kind: 'statement'; readonly text: string; readonly ownLine?: true }
  | {
      readonly kind: 'copy';
      readonly text: string;
      readonly afterIt: string;
      readonly rows: string;
      readonly end: string;
    }
  | { readonly kind: 'meta'; readonly text: string; readonly end: string };

export type PlacedPart = Part & { readonly offset: number; readonly endOffset: number; readonly line: number };

export interface Dialect {
  /** standard_conforming_strings */
  readonly standard: boolean;
  /** Nothing of what psql and the lexer are known to see differently. */
  readonly likePsql: boolean;
}

const WORDS_OF_BODIES = /^(begin|case|end)$/i;
/** No NUL, which ends psql's lines, no vertical tab, which is white space since PostgreSQL 16, no backtick (`psql.ts`). */
const ANY_CHARACTER = fc.integer({ min: 1, max: 255 }).map((byte) => String.fromCharCode(byte).replace(/[\v`]/, ' '));
const AWKWARD = fc.constantFrom(
  "'",
  '"',
  ';',
  '$',
  '$$',
  '$a$',
  '\\',
  '--',
  '/*',
  '*/',
  '(',
  ')',
  '\n',
  '\r\n',
  '\\.\n',
);

function content(forbidden: RegExp): fc.Arbitrary<string> {
  const character = fc.oneof({ weight: 2, arbitrary: AWKWARD }, ANY_CHARACTER);
  return fc.array(character, { maxLength: 8 }).map((characters) => characters.join('').replace(forbidden, ''));
}

const escaped = fc
  .array(
    fc.oneof(
      content(/['\\]/g),
      ANY_CHARACTER.map((character) => `\\${character}`),
      fc.constant("''"),
    ),
    { maxLength: 4 },
  )
  .map((units) => units.join(''));
const doubled = (quote: string) => content(/$^/g).map((text) => text.replaceAll(quote, quote + quote));

const blockComment: fc.Arbitrary<string> = fc
  .tuple(content(/[*/]/g), fc.option(content(/[*/]/g)))
  .map(([outer, inner]) => `/*${outer}${inner === null ? '' : `/* ${inner} */`}*/`);
const lineComment = fc.tuple(content(/[\r\n]/g), fc.constantFrom('\n', '\r\n')).map(([text, end]) => `--${text}${end}`);
const space = fc.constantFrom(' ', '\n', '\t', '\r\n', '\f', '  ');

/** Keeps apart what it stands between. */
const blank = fc
  .tuple(space, fc.array(fc.oneof({ weight: 3, arbitrary: space }, blockComment, lineComment), { maxLength: 2 }))
  .map(([first, more]) => first + more.join(''));

/** Between statements. */
const gap = fc
  .array(fc.oneof({ weight: 3, arbitrary: space }, blockComment, lineComment, fc.constant(';')), { maxLength: 4 })
  .map((pieces) => pieces.join(''));

const name = fc
  .tuple(
    fc.constantFrom('a', 'e', 'x', 'u', '_', 'n', 'Typ', '\xe9', '\xc3\xa9'),
    fc.constantFrom('', 'e', '1', '$', '$$', '_\xff', 'END'),
  )
  .map((parts) => parts.join(''))
  .filter((text) => !WORDS_OF_BODIES.test(text));
const number = fc.constantFrom('1', '1.5e-7', '.5', '1e+3', '0', '$1', '-1', '1.');
const quotedName = doubled('"').map((text) => `"${text}"`);

function string({ standard }: Dialect): fc.Arbitrary<string> {
  const body = standard ? doubled("'") : escaped;
  return fc.tuple(fc.constantFrom('', 'N', 'n'), body).map(([prefix, text]) => `${prefix}'${text}'`);
}

const prefixed = fc.oneof(
  fc.tuple(fc.constantFrom('E', 'e'), escaped).map(([prefix, text]) => `${prefix}'${text}'`),
  fc.tuple(fc.constantFrom('B', 'x', 'X', 'b'), content(/'/g)).map(([prefix, text]) => `${prefix}'${text}'`),
  fc.tuple(fc.constantFrom('U&', 'u&'), doubled("'")).map(([prefix, text]) => `${prefix}'${text}'`),
  doubled('"').map((text) => `U&"${text}"`),
);

/** psql forgets the kind of a literal at the end of its line. */
const continued = fc
  .tuple(escaped, fc.constantFrom('\n', ' \r\n\t', " -- it's\n", '\n--\n\n  '), escaped)
  .map(([first, between, second]) => `E'${first}'${between}'${second}'`);

const dollarQuoted = fc
  .tuple(fc.constantFrom('$$', '$a$', '$_1$', '$\xe9$', '$body$'), content(/$^/g))
  .map(([tag, text]) => `${tag}${text.replaceAll(tag, '')} ${tag}`)
  .filter(closesAtItsEnd);

function closesAtItsEnd(quoted: string): boolean {
  const tag = quoted.slice(0, quoted.indexOf('$', 1) + 1);
  return quoted.indexOf(tag, tag.length) === quoted.length - tag.length;
}

function atom(dialect: Dialect, depth = 0): fc.Arbitrary<string> {
  const simple = [name, number, quotedName, string(dialect), prefixed, dollarQuoted];
  if (!dialect.likePsql) simple.push(continued);
  if (depth === 2) return fc.oneof(...simple);
  const inside = fc.array(fc.oneof(atom(dialect, depth + 1), fc.constant(';')), { maxLength: 3 });
  return fc.oneof(
    { weight: 6, arbitrary: fc.oneof(...simple) },
    inside.map((atoms) => `(${atoms.join(' , ')})`),
  );
}

const OPERATOR = fc.constantFrom(
  ',',
  '+',
  '-',
  '/',
  '*',
  '=',
  '||',
  '::',
  '.',
  '<',
  'AND',
  'begin',
  'COPY',
  'from',
  'stdin',
);

/** Never two literals side by side, of which the second might continue the first. */
function expression(dialect: Dialect, operator = OPERATOR): fc.Arbitrary<string> {
  const more = fc.array(fc.tuple(blank, operator, blank, atom(dialect)), { maxLength: 3 });
  return fc.tuple(atom(dialect), more).map(([first, rest]) => first + rest.flat().join(''));
}

const VERB = fc.constantFrom(
  'SELECT',
  'insert',
  'ALTER',
  'CREATE TABLE',
  'CREATE OR REPLACE VIEW',
  'CREATE TRIGGER function',
  '"q"',
  '(1)',
  '-',
  '$$x$$',
  'COPY t TO',
  'BEGIN',
  'End',
);

function statement(dialect: Dialect): fc.Arbitrary<Part> {
  return fc
    .tuple(
      VERB,
      fc.option(fc.tuple(blank, expression(dialect, fc.constantFrom(',', '+', '-', '/', '||')))),
      fc.option(blank),
    )
    .map(([verb, rest, last]) => ({ kind: 'statement', text: verb + (rest?.join('') ?? '') + (last ?? '') }));
}

function routine(dialect: Dialect): fc.Arbitrary<Part> {
  const inner = expression(dialect, fc.constantFrom(',', '+', '-', 'AND'));
  const step = fc
    .tuple(inner, fc.boolean())
    .map(([text, cases]) => (cases ? `SELECT Case WHEN ${text} THEN 1 eND;` : `SELECT ${text};`));
  const create = fc.constantFrom(
    'CREATE FUNCTION',
    'create or replace procedure',
    'Create\n/* x */Function',
    'CREATE OR REPLACE FUNCTION',
  );
  return fc
    .tuple(create, blank, name, fc.array(step, { maxLength: 3 }), blank)
    .map(
      ([verb, between, called, steps, last]) =>
        `${verb}${between}${called}(a = CASE 1 END) BEGIN ATOMIC ${steps.join(last)}${last}END`,
    )
    .map((text) => ({ kind: 'statement', text }));
}

const row = fc
  .oneof(
    fc.constantFrom(
      '',
      '\\.x',
      ' \\.',
      '\\\\.',
      '\\.\\.',
      '\\',
      'a\\',
      '\\N\t;',
      "it's",
      'COPY t FROM stdin;',
      '\r',
      '\\.\r\r',
      '\\. ',
      '.',
      '$$',
    ),
    content(/[\n]/g),
  )
  .filter((text) => !/^\\\.\r?$/.test(text));

const copy: fc.Arbitrary<Part> = fc
  .record({
    text: fc.constantFrom(
      'COPY t FROM stdin',
      'copy "from; stdin" ("a;", from)\nFROM /* x */ STDIN WITH (format csv)',
      'Copy s.t(a) from STDOUT --\n',
    ),
    afterIt: fc.constantFrom('\n', ' \n', '\r\n', ' -- rows;\n', '\t\r\n'),
    rows: fc.array(row, { maxLength: 5 }).map((rows) => rows.map((each) => `${each}\n`).join('')),
    end: fc.constantFrom('\\.\n', '\\.\r\n'),
  })
  .map((parts) => ({ kind: 'copy', ...parts }));

/** psql goes on behind `\;` and `\:`, and its commands are refused anyway. */
const meta: fc.Arbitrary<Part> = fc
  .record({
    text: fc
      .tuple(fc.constantFrom('restrict', 'connect', '!', 'i', 'gexec', 'q', 'x', '?'), content(/\n/g))
      .map(([command, rest]) => `\\${command} ${rest}`.replace(/\r+$/, '')),
    end: fc.constantFrom('\n', '\r\n'),
  })
  .map((parts) => ({ kind: 'meta', ...parts }));

function part(dialect: Dialect): fc.Arbitrary<Part> {
  return fc.oneof({ weight: 5, arbitrary: statement(dialect) }, routine(dialect), copy, meta);
}

/** What changes the strings ends its line: psql looks at them line by line. */
const setting = (to: string): Part => ({
  kind: 'statement',
  text: `SET standard_conforming_strings = ${to}`,
  ownLine: true,
});

export function script(options: { likePsql: boolean }): fc.Arbitrary<Script> {
  const section = (standard: boolean) => fc.array(part({ standard, ...options }), { maxLength: 4 });
  return fc
    .record({
      mark: fc.constantFrom('', '', '', '\xef\xbb\xbf'),
      before: section(true),
      legacy: fc.option(section(false), { freq: 2 }),
      after: section(true),
      gaps: fc.array(gap, { minLength: 16, maxLength: 16 }),
    })
    .map(({ mark, before, legacy, after, gaps }) => {
      const middle = legacy === null ? [] : [setting('off'), ...legacy, setting('on')];
      return place(mark, [...before, ...middle, ...after], gaps);
    });
}

function place(mark: string, parts: readonly Part[], gaps: readonly string[]): Script {
  let text = mark;
  const placed = parts.map((each, at) => {
    text += gaps[at] ?? '';
    const offset = text.length;
    text += textOf(each);
    const endOffset = offset + (each.kind === 'meta' ? textOf(each).length : each.text.length + 1);
    return { ...each, offset, endOffset, line: text.slice(0, offset).split('\n').length };
  });
  return { text: text + (gaps[parts.length] ?? ''), parts: placed };
}

function textOf(each: Part): string {
  if (each.kind === 'meta') return each.text + each.end;
  if (each.kind === 'copy') return `${each.text};${each.afterIt}${each.rows}${each.end}`;
  return `${each.text};${each.ownLine ? '\n' : ''}`;
}

const FRAGMENTS =
  "' '' \" \"\" ; ( ) -- /* */ $$ $a$ $a a $ $1 1 1e 1e- 0x1F . , : :: := E' e' U&' U&\" u& N' x' B' \\ \\' \\\\ \\. - / + * \xe9 \xff " +
  'create CREATE or replace function procedure begin BEGIN atomic case end END copy COPY t from FROM stdin STDOUT select SET';
const fragment = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...FRAGMENTS.split(' ')) },
  { weight: 4, arbitrary: fc.constantFrom(' ', '\n', '\r\n', '\t', '\r', ' ', '\n') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'COPY t FROM stdin;\n',
      '\n\\.\n',
      '\n\\.\r\n',
      '\\restrict a\n',
      'CREATE FUNCTION f() BEGIN ATOMIC ',
      ';\nSELECT ',
      '/* a /* b */',
      'SET standard_conforming_strings = off;\n',
      'SET standard_conforming_strings = on;\n',
      '-- PostgreSQL database dump\n',
      '-- Name: t; Type: TABLE; Schema: public; Owner: -\n',
      '\n-- PostgreSQL database dump complete\n',
    ),
  },
  ANY_CHARACTER,
);

/** Anything, made of what a lexer has to look at. */
export const soup: fc.Arbitrary<string> = fc
  .array(fragment, { maxLength: 40, size: 'max' })
  .map((pieces) => pieces.join(''));

export const chunkSizes: fc.Arbitrary<number[]> = fc.array(fc.integer({ min: 1, max: 40 }), {
  minLength: 1,
  maxLength: 6,
});
