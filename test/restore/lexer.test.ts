import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parseToc } from '../../src/restore/comments.js';
import { LexError, Lexer, type Token } from '../../src/restore/lexer.js';

interface Lexed {
  tokens: Token[];
  error: LexError | undefined;
  lexer: Lexer;
}

function lex(script: string | Buffer, chunkBytes = Number.POSITIVE_INFINITY, options = {}): Lexed {
  const bytes = typeof script === 'string' ? Buffer.from(script) : script;
  const lexer = new Lexer(options);
  const tokens: Token[] = [];
  try {
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      for (const token of lexer.push(bytes.subarray(at, at + chunkBytes))) tokens.push(token);
    }
    for (const token of lexer.end()) tokens.push(token);
  } catch (error) {
    if (!(error instanceof LexError)) throw error;
    return { tokens, error, lexer };
  }
  return { tokens, error: undefined, lexer };
}

/** Statements as they are, rows in angle brackets, the end of rows and psql commands with their backslash. */
function shown(tokens: readonly Token[]): string[] {
  return joinRows(tokens).map((token) => {
    if (token.kind === 'statement') return token.bytes.toString();
    if (token.kind === 'copyRows') return `<${token.bytes}>`;
    return token.kind === 'copyEnd' ? '\\.' : token.text;
  });
}

function joinRows(tokens: readonly Token[]): Token[] {
  const joined: Token[] = [];
  for (const token of tokens) {
    const last = joined.at(-1);
    if (token.kind === 'copyRows' && last?.kind === 'copyRows') {
      joined[joined.length - 1] = { ...token, line: last.line, bytes: Buffer.concat([last.bytes, token.bytes]) };
    } else {
      joined.push(token);
    }
  }
  return joined;
}

/** Everything that must not depend on where the chunks were cut. */
function outcome({ tokens, error, lexer }: Lexed): unknown {
  const plain = joinRows(tokens).map((token) =>
    'bytes' in token ? { ...token, bytes: token.bytes.toString('latin1') } : token,
  );
  const problem = error && { reason: error.reason, line: error.line, message: error.message };
  return { plain, problem, header: lexer.header, end: error ? undefined : [lexer.offset, lexer.line] };
}

const sql = String.raw;

const SPLITS: [what: string, script: string, expected: string[]][] = [
  ['an empty file', '', []],
  ['white space and empty statements', ' ;;\n\t; \r\n', []],
  ['two statements on one line', 'SELECT 1; SELECT 2;', ['SELECT 1', 'SELECT 2']],
  ['statements over several lines', 'SELECT\n  1\n;\nSELECT 2;\n', ['SELECT\n  1\n', 'SELECT 2']],
  ['Windows line ends', 'SELECT 1;\r\nSELECT\r\n2;\r\n', ['SELECT 1', 'SELECT\r\n2']],
  ['a byte order mark', '\uFEFFSELECT 1;', ['SELECT 1']],

  ['comments before a statement', '-- a;\n/* b; */ -- c\nSELECT 1;', ['SELECT 1']],
  ['comments inside a statement', 'SELECT -- a;\n1 /* b; */ + 2;', ['SELECT -- a;\n1 /* b; */ + 2']],
  ['comments after a statement', 'SELECT 1 -- a;\n;-- b', ['SELECT 1 -- a;\n']],
  ['comments alone', '-- a\n/* b */\n-- c', []],
  ['nested comments', '/* a /* ; */ ; */ SELECT 1 /*/* ; */;*/;', ['SELECT 1 /*/* ; */;*/']],
  ['stars and slashes in comments', '/***/SELECT 1 /*/ ; **/;', ['SELECT 1 /*/ ; **/']],
  ['comments that begin inside an operator', 'SELECT 1 +-- ;\n2 */* ; */ 3;', ['SELECT 1 +-- ;\n2 */* ; */ 3']],
  ['a minus and a division', 'SELECT 1 - 2 / 3;- 1;/ 2;', ['SELECT 1 - 2 / 3', '- 1', '/ 2']],

  ['strings', sql`SELECT 'a;', 'it''s;', '', '\';`, [sql`SELECT 'a;', 'it''s;', '', '\'`]],
  ['E strings', sql`SELECT E'\';', e'\\', E'a''\';';`, [sql`SELECT E'\';', e'\\', E'a''\';'`]],
  ['a name that ends with e is no prefix', sql`SELECT typee'\'; SELECT 2;`, [sql`SELECT typee'\'`, 'SELECT 2']],
  ['the e of a number is no prefix', sql`SELECT 1e'\'; SELECT 2;`, [sql`SELECT 1e'\'`, 'SELECT 2']],
  ['numbers', 'SELECT 1.5e-7, 1e+3, 0x1F, 1_000, 1e-- ;', ['SELECT 1.5e-7, 1e+3, 0x1F, 1_000, 1e-- ']],
  ['strings continued on the next line', "SELECT 'a'\n  ';b';", ["SELECT 'a'\n  ';b'"]],
  ['a continued E string is one still', sql`SELECT E'a'` + sql`${'\n'}'\';';`, [sql`SELECT E'a'` + sql`${'\n'}'\';'`]],
  [
    'a continued E string with comments in between',
    sql`SELECT E'a' -- x'${'\r\n'} -- y${'\n'}'\';';`,
    [sql`SELECT E'a' -- x'${'\r\n'} -- y${'\n'}'\';'`],
  ],
  ['no continuation on the same line', sql`SELECT E'a' '\'; SELECT 2;`, [sql`SELECT E'a' '\'`, 'SELECT 2']],
  [
    'no continuation after a C comment',
    sql`SELECT E'a' /**/${'\n'} '\'; SELECT 2;`,
    [sql`SELECT E'a' /**/${'\n'} '\'`, 'SELECT 2'],
  ],
  ['a dash after a string', "SELECT 'a' - 'b', 'c'\n- ';';", ["SELECT 'a' - 'b', 'c'\n- ';'"]],
  ['U& strings and names', sql`SELECT U&'\', u&"\;", u & '\';`, [sql`SELECT U&'\', u&"\;", u & '\'`]],
  ['B, X and N strings', sql`SELECT B'1;', X'\', N'\', n';';`, [sql`SELECT B'1;', X'\', N'\', n';'`]],
  ['quoted names', 'SELECT "a;", "b"";", "--", "/*";', ['SELECT "a;", "b"";", "--", "/*"']],

  ['dollar quotes', 'SELECT $$;$$, $a$;$b$;$a$;', ['SELECT $$;$$, $a$;$b$;$a$']],
  [
    'dollars inside dollar quotes',
    'SELECT $a$ $a $a$, $b$a$$b$, $$ $a$ $$;',
    ['SELECT $a$ $a $a$, $b$a$$b$, $$ $a$ $$'],
  ],
  ['tags with bytes beyond ASCII', 'SELECT $é_1$;$é$;$é_1$;', ['SELECT $é_1$;$é$;$é_1$']],
  ['parameters are no dollar quotes', 'SELECT $1; SELECT $2$$;$$;', ['SELECT $1', 'SELECT $2$$;$$']],
  [
    'names with dollars are no dollar quotes',
    'SELECT a$$; SELECT é$b$; SELECT 1;',
    ['SELECT a$$', 'SELECT é$b$', 'SELECT 1'],
  ],
  ['a number before a dollar quote', 'SELECT 1$$;$$;', ['SELECT 1$$;$$']],
  [
    'what only begins as a tag',
    'SELECT $a; SELECT $ 1; SELECT $a $$;$$;',
    ['SELECT $a', 'SELECT $ 1', 'SELECT $a $$;$$'],
  ],

  [
    'semicolons in parentheses',
    'CREATE RULE r AS ON INSERT TO t DO (SELECT 1; (SELECT 2);); SELECT 3;',
    ['CREATE RULE r AS ON INSERT TO t DO (SELECT 1; (SELECT 2);)', 'SELECT 3'],
  ],
  ['a closing parenthesis too many', 'SELECT 1); SELECT (2);', ['SELECT 1)', 'SELECT (2)']],
  ['parentheses in quotes', `SELECT '(', "(", $$($$; SELECT 2;`, [`SELECT '(', "(", $$($$`, 'SELECT 2']],

  [
    'a function with BEGIN ATOMIC',
    'CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3;',
    ['CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END', 'SELECT 3'],
  ],
  [
    'a procedure with CASE in BEGIN ATOMIC',
    'create or replace procedure p() begin atomic select case when true then 1 end; select 2; End; SELECT 3;',
    ['create or replace procedure p() begin atomic select case when true then 1 end; select 2; End', 'SELECT 3'],
  ],
  [
    'CASE before BEGIN, and END in parentheses',
    'CREATE FUNCTION f(a int = CASE WHEN true THEN 1 END) BEGIN ATOMIC SELECT (CASE WHEN true THEN 1 END); END; SELECT 3;',
    [
      'CREATE FUNCTION f(a int = CASE WHEN true THEN 1 END) BEGIN ATOMIC SELECT (CASE WHEN true THEN 1 END); END',
      'SELECT 3',
    ],
  ],
  [
    'BEGIN and END in quotes, in comments and in longer names',
    `CREATE FUNCTION f() BEGIN ATOMIC SELECT 'end', "end", endé, x$end; /* end */ -- end\nEND; SELECT 3;`,
    [`CREATE FUNCTION f() BEGIN ATOMIC SELECT 'end', "end", endé, x$end; /* end */ -- end\nEND`, 'SELECT 3'],
  ],
  [
    'BEGIN anywhere else',
    'BEGIN; CREATE TABLE begin (a int); END; SELECT 1;',
    ['BEGIN', 'CREATE TABLE begin (a int)', 'END', 'SELECT 1'],
  ],
  [
    'a trigger function is no CREATE FUNCTION',
    'CREATE TRIGGER function BEGIN; SELECT 1;',
    ['CREATE TRIGGER function BEGIN', 'SELECT 1'],
  ],
  [
    'statements that do not begin with a word',
    '(SELECT 1); "a" CREATE FUNCTION BEGIN ; END; SELECT 2;',
    ['(SELECT 1)', '"a" CREATE FUNCTION BEGIN ; END', 'SELECT 2'],
  ],
  [
    'words named like properties of objects',
    'CREATE constructor; COPY __proto__ TO STDOUT;',
    ['CREATE constructor', 'COPY __proto__ TO STDOUT'],
  ],

  [
    'backslashes where strings do not conform',
    sql`SET standard_conforming_strings = off; SELECT '\';';`,
    ['SET standard_conforming_strings = off', sql`SELECT '\';'`],
  ],
  [
    'U& and X strings where strings do not conform',
    sql`SET standard_conforming_strings = off; SELECT U&'\', X'\';`,
    ['SET standard_conforming_strings = off', sql`SELECT U&'\', X'\'`],
  ],
  [
    'a second quote behind a bit string, which begins another literal',
    sql`SET standard_conforming_strings = off; SELECT B'1''\';'; SELECT 2;`,
    ['SET standard_conforming_strings = off', sql`SELECT B'1''\';'`, 'SELECT 2'],
  ],

  [
    'rows',
    'COPY t FROM STDIN;\n1\t;\n2\t\\N\n\\.\nSELECT 1;',
    ['COPY t FROM STDIN', '<1\t;\n2\t\\N\n>', '\\.', 'SELECT 1'],
  ],
  ['no rows', 'COPY t FROM stdin;\n\\.\n', ['COPY t FROM stdin', '\\.']],
  ['empty rows', 'COPY t FROM stdin;\n\n\n\\.\n', ['COPY t FROM stdin', '<\n\n>', '\\.']],
  ['an end marker at the end of the file', 'COPY t FROM stdin;\n1\n\\.', ['COPY t FROM stdin', '<1\n>', '\\.']],
  [
    'rows with Windows line ends',
    'COPY t FROM stdin;\r\n1\r\n\\.\r\nSELECT 1;',
    ['COPY t FROM stdin', '<1\r\n>', '\\.', 'SELECT 1'],
  ],
  [
    'what only looks like the end marker',
    'COPY t FROM stdin;\n\\.x\n \\.\n\\\\.\n\\..\n\\.\\.\n\\\n\\.\r\r\n1\\.\n\\.\n',
    ['COPY t FROM stdin', '<\\.x\n \\.\n\\\\.\n\\..\n\\.\\.\n\\\n\\.\r\r\n1\\.\n>', '\\.'],
  ],
  ['a comment after COPY', 'COPY t FROM stdin; -- rows\n1\n\\.\n', ['COPY t FROM stdin', '<1\n>', '\\.']],
  [
    'COPY with columns and options',
    `copy s."T;" (a, "from") from\n-- here\nstdin with (format csv);\n\\.\n`,
    [`copy s."T;" (a, "from") from\n-- here\nstdin with (format csv)`, '\\.'],
  ],
  ['COPY FROM STDOUT, which the server takes for STDIN', 'COPY t FROM STDOUT;\n\\.\n', ['COPY t FROM STDOUT', '\\.']],
  [
    'COPY of a table named stdin',
    'COPY stdin FROM stdin WHERE a > 1;\n\\.\n',
    ['COPY stdin FROM stdin WHERE a > 1', '\\.'],
  ],
  [
    'COPY that sends no rows',
    'COPY (SELECT 1 FROM stdin) TO STDOUT; COPY t TO STDOUT; SELECT 1;',
    ['COPY (SELECT 1 FROM stdin) TO STDOUT', 'COPY t TO STDOUT', 'SELECT 1'],
  ],
  [
    'COPY from a file',
    `COPY t FROM '/stdin' WHERE a FROM stdin; COPY t FROM PROGRAM 'stdin'; SELECT 1;`,
    [`COPY t FROM '/stdin' WHERE a FROM stdin`, `COPY t FROM PROGRAM 'stdin'`, 'SELECT 1'],
  ],
  [
    'COPY that is not the first word',
    'x COPY t FROM stdin; (COPY t FROM stdin); SELECT 1;',
    ['x COPY t FROM stdin', '(COPY t FROM stdin)', 'SELECT 1'],
  ],

  [
    'psql commands',
    '\\restrict x1\nSELECT 1; \\connect  shop \r\n/* c */ \\.\n\\q',
    ['\\restrict x1', 'SELECT 1', '\\connect  shop ', '\\.', '\\q'],
  ],
];

const CUT_OFF: [what: string, script: string, line: number, message: string][] = [
  ['in a statement', 'SELECT 1;\n\nSELECT\n2', 3, 'the file ends in the middle of the statement that begins at line 3'],
  [
    'in a statement that ends with a string',
    "SELECT 'a'",
    1,
    'the file ends in the middle of the statement that begins at line 1',
  ],
  ['in parentheses', 'SELECT (1;\n', 1, 'the file ends in the middle of the statement that begins at line 1'],
  [
    'in a string',
    "\nSELECT 1,\n'a;",
    3,
    'the file ends inside a string that begins at line 3, in the statement that begins at line 2',
  ],
  [
    'in an E string',
    sql`SELECT E'\'`,
    1,
    'the file ends inside a string that begins at line 1, in the statement that begins at line 1',
  ],
  [
    'in a quoted name',
    '\nSELECT "a',
    2,
    'the file ends inside a quoted name that begins at line 2, in the statement that begins at line 2',
  ],
  [
    'in a dollar quote',
    'SELECT\n$a$ $$;\n',
    2,
    'the file ends inside a dollar-quoted string that begins at line 2, in the statement that begins at line 1',
  ],
  ['in a comment', 'SELECT 1;\n/* a /* */', 2, 'the file ends inside a comment that begins at line 2'],
  [
    'in a comment in a statement',
    'SELECT 1\n/* ;\n',
    2,
    'the file ends inside a comment that begins at line 2, in the statement that begins at line 1',
  ],
  [
    'in rows',
    '\nCOPY public."a b" (c) FROM stdin;\n1\n2',
    3,
    'the file ends inside the COPY data of public."a b" that begin at line 3',
  ],
  ['before the rows', 'COPY t(c) FROM stdin;', 2, 'the file ends inside the COPY data of t that begin at line 2'],
  [
    'in rows of a table it cannot name',
    'COPY/**/t FROM stdin;\n1',
    2,
    'the file ends inside the COPY data that begin at line 2',
  ],
  ['in an end marker', 'COPY t FROM stdin;\n\\', 2, 'the file ends inside the COPY data of t that begin at line 2'],
];

const REFUSED: [what: string, script: string, reason: string, line: number, message: string][] = [
  [
    'psql commands in a statement',
    'SELECT 1;\nSELECT 2\n\\gexec now\n',
    'META_COMMAND_INSIDE_STATEMENT',
    3,
    'line 3: the psql command \\gexec stands inside the statement that begins at line 2',
  ],
  [
    'psql commands at the end of the file',
    'SELECT 2 \\g',
    'META_COMMAND_INSIDE_STATEMENT',
    1,
    'line 1: the psql command \\g stands inside the statement that begins at line 1',
  ],
  [
    'what follows COPY on its line',
    '\nCOPY t FROM stdin; SELECT 1;\n\\.\n',
    'TEXT_AFTER_COPY',
    2,
    'line 2: the rows of a COPY begin on the line after its semicolon, but more text follows on the same line',
  ],
];

describe('the lexer splits', () => {
  test.each(SPLITS)('%s', (_what, script, expected) => {
    const { tokens, error } = lex(script);
    expect(error).toBeUndefined();
    expect(shown(tokens)).toEqual(expected);
  });

  test('half a byte order mark as the name that it is', () => {
    const script = Buffer.from([0xef, 0xbb, 0x3b]);
    for (const chunkBytes of [1, 3]) {
      expect(lex(script, chunkBytes).tokens).toMatchObject([{ bytes: script.subarray(0, 2), offset: 0 }]);
    }
  });

  test('in the same way wherever the chunks are cut', () => {
    for (const [what, script] of [...SPLITS, ...CUT_OFF, ...REFUSED]) {
      const whole = outcome(lex(script));
      for (let bytes = 1; bytes <= Buffer.byteLength(script); bytes++) {
        expect({ what, bytes, ...(outcome(lex(script, bytes)) as object) }).toEqual({
          what,
          bytes,
          ...(whole as object),
        });
      }
    }
  });
});

describe('the lexer refuses', () => {
  test.each(CUT_OFF)('a file that ends %s', (_what, script, line, message) => {
    expect(lex(script).error).toMatchObject({ reason: 'CUT_OFF', line, message });
  });

  test.each(REFUSED)('%s', (_what, script, reason, line, message) => {
    expect(lex(script).error).toMatchObject({ reason, line, message });
  });

  test('a statement that is longer than allowed, and none that is as long', () => {
    const script = `SELECT 1;\nSELECT '${'a'.repeat(2 ** 20 - 9)}';`;
    for (const chunkBytes of [1000, 2 ** 21]) {
      expect(lex(script, chunkBytes, { maxStatementBytes: 2 ** 20 }).error).toBeUndefined();
      expect(lex(script.replace("'a", "'aa"), chunkBytes, { maxStatementBytes: 2 ** 20 }).error).toMatchObject({
        reason: 'STATEMENT_TOO_LONG',
        line: 2,
        message: 'the statement that begins at line 2 is longer than 1 MiB',
      });
    }
  });

  test('nothing that it has not read: tokens before the fault are there', () => {
    expect(shown(lex('SELECT 1;\nCOPY t FROM stdin;\n1\n2').tokens)).toEqual([
      'SELECT 1',
      'COPY t FROM stdin',
      '<1\n2>',
    ]);
  });
});

describe('a token tells where it stands', () => {
  const script = '\n-- c\n SELECT\n1 ;SELECT 2;\nCOPY t FROM stdin;\nä\nb\n\\.\n\\q\r\nSELECT 3;';
  const bytes = Buffer.from(script);
  const offset = (text: string) => bytes.indexOf(text);

  test('by its line and its offsets in the file', () => {
    expect(joinRows(lex(script, 3).tokens)).toMatchObject([
      { line: 3, offset: offset('SELECT\n'), endOffset: offset('SELECT 2') },
      { line: 4, offset: offset('SELECT 2'), endOffset: offset('\nCOPY') },
      { line: 5, offset: offset('COPY'), endOffset: offset('\nä'), copy: true },
      { line: 6, endOffset: offset('\\.') },
      { line: 8, endOffset: offset('\\q') },
      { line: 9, endOffset: offset('SELECT 3'), command: '\\q', text: '\\q' },
      { line: 10, offset: offset('SELECT 3'), endOffset: bytes.length, copy: false },
    ]);
  });

  test('in rows by the line of its first byte', () => {
    for (let chunkBytes = 1; chunkBytes < bytes.length; chunkBytes++) {
      for (const token of lex(script, chunkBytes).tokens) {
        if (token.kind !== 'copyRows') continue;
        const before = bytes.subarray(0, token.endOffset - token.bytes.length).toString('latin1');
        expect(token.line).toBe(before.split('\n').length);
      }
    }
  });

  test('and so does the lexer', () => {
    const { lexer } = lex(script);
    expect([lexer.offset, lexer.line]).toEqual([bytes.length, 10]);
  });

  test('without copying what lies within one chunk', () => {
    const chunk = Buffer.from('SELECT 1;\nCOPY t FROM stdin;\n1\n\\.\n');
    for (const token of lex(chunk).tokens) if ('bytes' in token) expect(token.bytes.buffer).toBe(chunk.buffer);
  });
});

describe('the lexer follows standard_conforming_strings', () => {
  const isOff = (statement: string) => lex(`${statement}; SELECT '\\';';`).error === undefined;

  test.each([
    "set STANDARD_conforming_strings to 'off'",
    'SET SESSION standard_conforming_strings=false',
    'Set Local "standard_conforming_strings" TO "no"',
    'SET standard_conforming_strings = 0 -- legacy\n',
    "SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false)",
    'SET standard_conforming_strings = off; SET standard_conforming_strings = maybe',
  ])('off after %s', (statement) => {
    expect(isOff(statement)).toBe(true);
  });

  test.each([
    'SET standard_conforming_strings = on',
    "SELECT 'SET standard_conforming_strings = off'",
    'SET xstandard_conforming_strings = off',
    'SET standard_conforming_strings = off; SET standard_conforming_strings TO DEFAULT',
    'SET standard_conforming_strings = off; RESET standard_conforming_strings',
    'SET standard_conforming_strings = off; RESET ALL',
    'SET standard_conforming_strings = off; DISCARD ALL',
    "SET standard_conforming_strings = off; SELECT set_config('standard_conforming_strings', 'yes', true)",
  ])('on after %s', (statement) => {
    expect(isOff(statement)).toBe(false);
  });
});

describe('the lexer follows client_encoding', () => {
  /** 0x95 0x5c is one character of SJIS, 0xb1 is another. */
  const STATEMENTS = ["SELECT E'\x95\\'", "SELECT \x95\\e'\\', \"\x95\\\", E'\xb1\\';'", 'SELECT $\x95\\$;$\x95\\$'];
  const script = (setting: string) => Buffer.from(`${[setting, ...STATEMENTS].join('; ')};`, 'latin1');
  const split = (setting: string, chunkBytes?: number) =>
    lex(script(setting), chunkBytes).tokens.map((token) => ('bytes' in token ? token.bytes.toString('latin1') : ''));

  test.each([
    "SET client_encoding = 'SJIS'",
    'set names shift_jis_2004',
    "SET SESSION NAMES 'Windows-932'",
    "SELECT pg_catalog.set_config('client_encoding', 'mskanji', false)",
  ])('after %s, a backslash may be the second byte of a character', (setting) => {
    for (const chunkBytes of [1, 2, 3, undefined]) {
      expect(split(setting, chunkBytes)).toEqual([setting, ...STATEMENTS]);
    }
  });

  test.each([
    "SET client_encoding = 'LATIN1'",
    "SET client_encoding = 'SJIS'; RESET ALL",
    "SET NAMES 'SJIS'; SET client_encoding TO DEFAULT",
  ])('after %s, it is none', (setting) => {
    expect(lex(script(setting)).error?.reason).toBe('META_COMMAND_INSIDE_STATEMENT');
  });

  test.each(['BIG5', 'WIN950', 'GBK', 'WIN936', 'UHC', 'Windows949', 'GB18030'])(
    'in %s, every byte beyond ASCII is the first of two',
    (encoding) => {
      expect(
        lex(Buffer.from(`SET NAMES '${encoding}'; SELECT E'\xb1\\'; SELECT E'\xb1\\\\\\';`, 'latin1')).tokens,
      ).toHaveLength(3);
    },
  );
});

describe('the comments of pg_dump', () => {
  const HEADER =
    '--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.2 (Debian 15.2-1.pgdg110+1)\n-- Dumped by pg_dump version 17beta1\n';
  const TOC = 'Name: t; Type: TABLE; Schema: public; Owner: -';
  const tocs = (script: string) => lex(script).tokens.map((token) => token.kind === 'statement' && token.toc);

  test('tell who wrote the dump, and whether it is complete', () => {
    expect(lex(HEADER).lexer.header).toEqual({
      isPgDump: true,
      serverVersion: '15.2',
      complete: false,
    });
    const complete = `${HEADER}SELECT 1;\n--\n-- PostgreSQL database dump complete\n--\n`;
    expect(lex(complete).lexer.header.complete).toBe(true);
    expect(lex(complete + HEADER).lexer.header.complete).toBe(false);
    const cluster = '-- PostgreSQL database cluster dump\r\n';
    expect(lex(cluster).lexer.header).toEqual({ isPgDump: false, complete: false });
    expect(lex(complete + cluster).lexer.header).toMatchObject({ isPgDump: true, complete: false });
  });

  test('count only between statements', () => {
    const script =
      "SELECT\n-- PostgreSQL database dump\n1, '\n-- PostgreSQL database dump\n';/*\n-- PostgreSQL database dump\n*/";
    expect(lex(script).lexer.header.isPgDump).toBe(false);
    expect(tocs(`SELECT\n-- ${TOC}\n1; SELECT 2;`)).toEqual([undefined, undefined]);
  });

  test('announce the statements up to the next such comment', () => {
    const data = 'Data for Name: t; Type: TABLE DATA; Schema: public; Owner: -';
    const script = `SELECT 0;\n--\n-- ${TOC}\n--\n\nSELECT 1;\n-- Name: no entry\nSELECT 2; -- ${data}\r\nSELECT 3;`;
    expect(tocs(script)).toEqual([undefined, TOC, TOC, data]);
  });

  test('may be in another encoding than UTF-8', () => {
    const script = Buffer.from('-- Name: é; Type: TABLE; Schema: -; Owner: -\nSELECT 1;', 'latin1');
    expect(lex(script).tokens).toMatchObject([{ toc: 'Name: é; Type: TABLE; Schema: -; Owner: -' }]);
  });

  test('are not read when they are absurdly long', () => {
    const script = `-- Name: ${'a'.repeat(70_000)}; Type: TABLE; Schema: public; Owner: -\nSELECT 1;`;
    for (const chunkBytes of [1000, script.length]) {
      expect(lex(script, chunkBytes).tokens).toMatchObject([{ toc: undefined, line: 2 }]);
    }
  });

  test.each([
    ['Name: film; Type: TABLE; Schema: public; Owner: -', { name: 'film', type: 'TABLE', schema: 'public' }],
    ['Data for Name: film; Type: TABLE DATA; Schema: public; Owner: me', { type: 'TABLE DATA', dataFor: true }],
    [
      'Name: a a_b_fkey; Type: FK CONSTRAINT; Schema: a b; Owner: -',
      { name: 'a a_b_fkey', type: 'FK CONSTRAINT', schema: 'a b' },
    ],
    ['Name: f(a integer); Type: FUNCTION; Schema: s; Owner: o; Tablespace: ', { name: 'f(a integer)', schema: 's' }],
    ['Name: plpgsql; Type: EXTENSION; Schema: -; Owner: -', { schema: undefined, dataFor: false }],
    ['Name: a; b; Type: c; Type: VIEW; Schema: s; Owner: -', { name: 'a; b; Type: c', type: 'VIEW', schema: 's' }],
    [
      'Name: a; Schema: b; Type: TABLE; Schema: s; Type: t; Owner: -',
      { name: 'a; Schema: b', type: 'TABLE', schema: 's; Type: t' },
    ],
    ['Name: ; Type: ACL; Schema: -; Owner: ', { name: '', type: 'ACL' }],
    ['Statistics for Name: t; Type: STATISTICS DATA; Schema: s; Owner: -', { name: 't', dataFor: false }],
  ])('are taken apart: %s', (text, entry) => {
    expect(parseToc(text)).toMatchObject(entry);
  });

  test.each([
    '',
    'Name: x',
    'Name: x; Schema: s; Type: t',
    'Type: TABLE; Schema: s',
    'My Name: x; Type: TABLE; Schema: s',
  ])('are told from others: %s', (text) => {
    expect(parseToc(text)).toBeUndefined();
  });
});

describe('a long file', () => {
  test('of one statement takes time in proportion to it', () => {
    const script = Buffer.from(
      `SELECT ${'a'.repeat(8e6)}, '${'b'.repeat(8e6)}', $${'c'.repeat(8e6)}$$;$${'c'.repeat(8e6)}$;`,
    );
    const { tokens, error } = lex(script, 4096);
    expect(error).toBeUndefined();
    expect(tokens).toHaveLength(1);
    expect((tokens[0] as { bytes: Buffer }).bytes.equals(script.subarray(0, -1))).toBe(true);
  });

  test('of a comment or of rows is not kept in memory', () => {
    for (const [begin, chunk] of [
      ['/*', ' * /* */ \n'],
      ['COPY t FROM stdin;\n', '1\t2\n'],
      ['-- ', 'a '],
    ] as const) {
      const lexer = new Lexer({ maxStatementBytes: 100_000 });
      for (const _ of lexer.push(Buffer.from(begin)));
      for (let pushed = 0; pushed < 1000; pushed++) for (const _ of lexer.push(Buffer.from(chunk.repeat(1000))));
      expect(lexer.offset).toBeGreaterThan(1_900_000);
    }
  });
});

const DUMPS = new URL('../../../shared/dumps/', import.meta.url);
const whenPresent = (name: string) => (existsSync(new URL(name, DUMPS)) ? test : test.skip);
const lines = (text: string, pattern: RegExp) => text.split('\n').filter((line) => pattern.test(line)).length;

describe('a real dump', () => {
  whenPresent('pagila.sql')('of pg_dump is taken apart completely', () => {
    const bytes = readFileSync(new URL('pagila.sql', DUMPS));
    const text = bytes.toString('latin1');
    const { tokens, lexer, error } = lex(bytes, 65_536);
    expect(error).toBeUndefined();
    expect(lexer.header).toEqual({
      isPgDump: true,
      serverVersion: '15.2',
      complete: true,
    });

    const statements = tokens.filter((token) => token.kind === 'statement');
    const copies = statements.filter((token) => token.copy);
    expect(copies).toHaveLength(lines(text, /^COPY .* FROM stdin;$/));
    expect(tokens.filter((token) => token.kind === 'copyEnd')).toHaveLength(lines(text, /^\\\.$/));
    expect(copies.every((token) => parseToc(token.toc ?? '')?.dataFor)).toBe(true);
    expect(new Set(statements.map((token) => token.toc)).size).toBe(lines(text, /^-- (?:Data for )?Name: /) + 1);

    const rows = Buffer.concat(tokens.flatMap((token) => (token.kind === 'copyRows' ? token.bytes : []))).toString(
      'latin1',
    );
    expect(rows).toBe(
      [...text.matchAll(/^COPY .* FROM stdin;\n((?:(?!\\\.\n).*\n)*)/gm)].map(([, data]) => data).join(''),
    );
    expect(statements.filter((token) => /^CREATE TABLE /.test(token.bytes.toString()))).toHaveLength(
      lines(text, /^CREATE TABLE /),
    );
    expect(statements.map((token) => token.line)).toEqual(
      statements.map((token) => text.slice(0, token.offset).split('\n').length),
    );
  });

  whenPresent('northwind.sql')('of INSERTs is taken apart completely', () => {
    const bytes = readFileSync(new URL('northwind.sql', DUMPS));
    const text = bytes.toString('latin1');
    const { tokens, error } = lex(bytes, 4096);
    expect(error).toBeUndefined();
    const statements = tokens.map((token) =>
      token.kind === 'statement' ? token.bytes.toString('latin1') : token.kind,
    );
    expect(statements.filter((statement) => /^INSERT INTO /.test(statement))).toHaveLength(
      lines(text, /^INSERT INTO /),
    );
    expect(statements).toHaveLength(lines(text, /;\s*$/));
    const head = bytes.subarray(0, 60_000);
    for (const chunkBytes of [1, 7, 999]) expect(outcome(lex(head, chunkBytes))).toEqual(outcome(lex(head)));
  });
});
