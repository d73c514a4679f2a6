import type { Random } from './random.js';

type Mutation = (file: Buffer, random: Random, others: readonly Buffer[]) => Buffer;

const LF = 0x0a;
const INSERTED = [
  "'",
  '"',
  '$$',
  '$a$',
  '$_$',
  '--',
  '/*',
  '*/',
  ';',
  '(',
  ')',
  '\\',
  '\n',
  '\r',
  "E'",
  "U&'",
  "B'",
  '\\.\n',
  '\n\\.\n',
  '\n\\.\r\n',
  '\\restrict a\n',
  '\\unrestrict a\n',
  '\n\\connect other\n',
  '\n\\! x\n',
  '\n\\i x\n',
  '\\;',
  'COPY public.author FROM stdin;\n',
  'COPY t (a, b) FROM stdin;\n1\t2\n\\.\n',
  ' FROM stdin',
  'BEGIN;\n',
  'COMMIT;\n',
  'ROLLBACK;\n',
  'SAVEPOINT a;\n',
  'BEGIN ATOMIC ',
  ' END;\n',
  ' CASE ',
  'CREATE FUNCTION ',
  'SET standard_conforming_strings = off;\n',
  "SET client_encoding = 'LATIN1';\n",
  "SET client_encoding = 'SJIS';\n",
  'SET ROLE nobody;\n',
  'SET search_path TO nowhere;\n',
  'CREATE ROLE someone;\n',
  'GRANT SELECT ON ALL TABLES IN SCHEMA public TO someone;\n',
  'ALTER TABLE public.book OWNER TO someone;\n',
  'DROP SCHEMA public CASCADE;\n',
  'CREATE EXTENSION hstore;\n',
  'CREATE EXTENSION postgis;\n',
  'DISCARD ALL;\n',
  'LISTEN a;\n',
  'PREPARE a AS SELECT 1;\n',
  'SET default_transaction_read_only = on;\n',
  'ALTER TABLE public.author DISABLE TRIGGER ALL;\n',
  'COPY public.author TO STDOUT;\n',
  "PREPARE TRANSACTION 'a';\n",
  'DECLARE c CURSOR WITH HOLD FOR SELECT 1;\n',
  "DO $$ BEGIN RAISE NOTICE 'x'; END $$;\n",
  '-- PostgreSQL database dump\n',
  '--\n-- PostgreSQL database dump complete\n--\n',
  '-- Name: x; Type: TABLE; Schema: y; Owner: z\n',
].map((text) => Buffer.from(text));
const SPOILED = [
  '\0',
  '\xff',
  '\xc3',
  '\xe2\x82',
  '\xed\xa0\x80',
  '\xf8\x88\x80\x80\x80',
  '\x80',
  '\xef\xbb\xbf',
  '\x1a',
  '\x0b',
];
const HUGE = [
  '99999999999999999999',
  '-1',
  '0',
  '2147483648',
  '4294967296',
  '1e400',
  '0x1F',
  '1_0',
  '9'.repeat(200),
  '',
];

const MUTATIONS: readonly Mutation[] = [
  function flipBytes(file, random) {
    const changed = Buffer.from(file);
    for (let flips = 1 + random.below(4); flips > 0 && file.length > 0; flips--)
      changed[random.below(file.length)] = random.below(256);
    return changed;
  },
  function cutOff(file, random) {
    return file.subarray(0, random.below(file.length + 1));
  },
  function beginLate(file, random) {
    return file.subarray(random.below(file.length + 1));
  },
  function duplicate(file, random) {
    const [from, to] = block(file, random);
    return spliced(file, to, to, file.subarray(from, to));
  },
  function remove(file, random) {
    const [from, to] = block(file, random);
    return spliced(file, from, to);
  },
  function removeBytes(file, random) {
    const from = random.below(file.length + 1);
    return spliced(file, from, from + 1 + random.below(8));
  },
  function move(file, random) {
    const [from, to] = block(file, random);
    const rest = spliced(file, from, to);
    const at = lineFrom(rest, random.below(rest.length + 1));
    return spliced(rest, at, at, file.subarray(from, to));
  },
  function swapStatements(file, random) {
    const [first, second] = [random.below(file.length + 1), random.below(file.length + 1)].sort((a, b) => a - b);
    const cuts = [first, second].flatMap((at) => {
      const from = statementEnd(file, at as number);
      return [from, statementEnd(file, from)];
    });
    const [a = 0, b = 0, c = 0, d = 0] = cuts;
    if (c < b) return file;
    return Buffer.concat([
      file.subarray(0, a),
      file.subarray(c, d),
      file.subarray(b, c),
      file.subarray(a, b),
      file.subarray(d),
    ]);
  },
  function insert(file, random) {
    const place = random.below(file.length + 1);
    const at = random.oneIn(2) ? place : lineFrom(file, place);
    return spliced(file, at, at, random.pick(INSERTED));
  },
  function spoil(file, random) {
    const at = random.below(file.length + 1);
    return spliced(file, at, at + random.below(2), Buffer.from(random.pick(SPOILED), 'latin1'));
  },
  function lineEnds(file, random) {
    const [from, to] = random.oneIn(2) ? [0, file.length] : block(file, random);
    const changed = file.toString('latin1', from, to).replaceAll('\n', random.pick(['\r\n', '\r', '\n\n', '\n\r']));
    return spliced(file, from, to, Buffer.from(changed, 'latin1'));
  },
  function spliceAnother(file, random, others) {
    const other = random.pick(others);
    const [from, to] = block(other, random);
    const at = random.oneIn(2) ? random.below(file.length + 1) : lineFrom(file, random.below(file.length + 1));
    return random.oneIn(2)
      ? spliced(file, at, at, other.subarray(from, to))
      : spliced(file, at, file.length, other.subarray(from, to));
  },
  function hugeNumber(file, random) {
    const from = random.below(file.length + 1);
    const number = /[0-9]+/.exec(file.toString('latin1', from, from + 200));
    if (!number) return file;
    const at = from + number.index;
    return spliced(file, at, at + number[0].length, Buffer.from(random.pick(HUGE)));
  },
];

/** One to four of the mutations, one after another. */
export function mutate(file: Buffer, random: Random, others: readonly Buffer[]): Buffer {
  let mutated = file;
  do mutated = random.pick(MUTATIONS)(mutated, random, others);
  while (random.below(5) < 2);
  return mutated;
}

/** A part of a file: mostly entries of a dump, or whole statements. */
export function excerpt(file: Buffer, random: Random, most: number): Buffer {
  const place = random.below(Math.max(1, file.length - most / 2));
  const from = random.pick([place, lineFrom(file, place), statementEnd(file, place), entryFrom(file, place)]);
  const end = from + 1 + random.below(most);
  return file.subarray(from, random.oneIn(4) ? end : Math.min(statementEnd(file, end), end + most));
}

function spliced(file: Buffer, from: number, to: number, inserted: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([file.subarray(0, from), inserted, file.subarray(to)]);
}

/** One to twenty lines. */
function block(file: Buffer, random: Random): [from: number, to: number] {
  const from = lineFrom(file, random.below(file.length + 1));
  let to = from;
  for (let lines = random.oneIn(2) ? 1 : 1 + random.below(20); lines > 0; lines--) to = lineFrom(file, to + 1);
  return [from, to];
}

function lineFrom(file: Buffer, at: number): number {
  if (at === 0) return 0;
  const newline = file.indexOf(LF, at - 1);
  return newline === -1 ? file.length : newline + 1;
}

function entryFrom(file: Buffer, at: number): number {
  const blankLines = file.indexOf('\n\n\n--', at);
  return blankLines === -1 ? 0 : blankLines + 3;
}

function statementEnd(file: Buffer, at: number): number {
  const end = file.indexOf(';\n', at);
  return end === -1 ? file.length : end + 2;
}
