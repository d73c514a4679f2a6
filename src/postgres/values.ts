/**
 * PostgreSQL's text output as JSON values, exactly: what a JavaScript number cannot hold stays a string. README.md has
 * the table. It is PostgreSQL's text under these settings, which a session begins with.
 */
export const OUTPUT_SETTINGS = '-c DateStyle=ISO -c IntervalStyle=postgres -c extra_float_digits=1 -c bytea_output=hex';

/** What values of a type are made of. */
export type TypeShape =
  | { readonly kind: 'scalar' }
  | { readonly kind: 'array'; readonly element: number; readonly delimiter: string }
  | { readonly kind: 'domain'; readonly base: number }
  | { readonly kind: 'composite'; readonly attributes: readonly { readonly name: string; readonly type: number }[] };

export type Reader = (text: string) => unknown;

/** Object ids of pg_type.dat, which never change. All others are read as text. */
const SCALARS: Readonly<Record<number, Reader>> = {
  16: (text) => text === 't',
  20: bigint,
  21: Number,
  23: Number,
  26: Number,
  114: json,
  700: float,
  701: float,
  1114: timestamp,
  1184: timestamp,
  1186: interval,
  1266: timeWithZone,
  3802: json,
};

/** What reads values of this type, `shapes` being those of the types that it is made of. */
export function readerOf(type: number, shapes: ReadonlyMap<number, TypeShape>): Reader {
  const shape = shapes.get(type);
  switch (shape?.kind) {
    case 'array': {
      const element = readerOf(shape.element, shapes);
      return (text) => array(text, shape.delimiter, element);
    }
    case 'domain':
      return readerOf(shape.base, shapes);
    case 'composite': {
      const readers = shape.attributes.map(({ type }) => readerOf(type, shapes));
      const names = shape.attributes.map(({ name }) => name);
      return (text) => composite(text, names, readers);
    }
    default:
      return SCALARS[type] ?? asText;
  }
}

function asText(text: string): string {
  return text;
}

function bigint(text: string): number | string {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : text;
}

function float(text: string): number | string {
  const value = Number(text);
  return Number.isFinite(value) ? value : text;
}

/** `2022-02-15 09:34:33.5+00` -> `2022-02-15T09:34:33.5+00:00`; infinity and years BC stay PostgreSQL's text. */
function timestamp(text: string): string {
  const match = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)([+-]\d\d)?(:\d\d)?$/.exec(text);
  if (!match) return text;
  const [, date, time, hours, minutes] = match;
  return `${date}T${time}${hours ? `${hours}${minutes ?? ':00'}` : ''}`;
}

function timeWithZone(text: string): string {
  return text.replace(/^(\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d)$/, '$1:00');
}

const INTERVAL =
  /^(?:([+-]?\d+) years?)? ?(?:([+-]?\d+) mons?)? ?(?:([+-]?\d+) days?)? ?(?:([+-]?)(\d+):(\d\d):(\d\d(?:\.\d+)?))?$/;

/** `1 mon -2 days 04:05:06.7` -> `P1M-2DT4H5M6.7S`, as PostgreSQL's own IntervalStyle iso_8601 has it. */
function interval(text: string): string {
  const match = INTERVAL.exec(text);
  if (!match) return text;
  const [, years, months, days, sign = '', hours, minutes, seconds] = match;
  const part = (digits: string | undefined, unit: string, before = '') =>
    Number(digits ?? 0) === 0 ? '' : `${before}${(digits as string).replace(/^\+|^0+(?=\d)/, '')}${unit}`;
  const minus = sign === '-' ? '-' : '';
  const date = part(years, 'Y') + part(months, 'M') + part(days, 'D');
  const time = part(hours, 'H', minus) + part(minutes, 'M', minus) + part(seconds, 'S', minus);
  if (date === '' && time === '') return 'PT0S';
  return `P${date}${time && `T${time}`}`;
}

const JSON_TOKEN = /\\.|["[\]{}]|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Only with more digits than 15, or with an exponent, may a number be one that JavaScript cannot hold. */
const LONG_NUMBER = /[\d.]{16}|\d[eE]/;
/** Some thousand levels are more than JSON.stringify can write. */
const DEEPEST_JSON = 500;

/** A number that JavaScript would change becomes a string of its digits; what is nested too deeply stays text. */
function json(text: string): unknown {
  if (text.length <= DEEPEST_JSON && !LONG_NUMBER.test(text)) return JSON.parse(text);
  let quoted = false;
  let depth = 0;
  let deepest = 0;
  const exact = text.replace(JSON_TOKEN, (token) => {
    if (token === '"') quoted = !quoted;
    else if (quoted || token.startsWith('\\')) return token;
    else if (token === '[' || token === '{') deepest = Math.max(deepest, ++depth);
    else if (token === ']' || token === '}') depth -= 1;
    else if (!isExact(token)) return `"${token}"`;
    return token;
  });
  return deepest > DEEPEST_JSON ? text : JSON.parse(exact);
}

/** Whether JavaScript writes the number that it reads here as the same decimal. */
function isExact(number: string): boolean {
  return !LONG_NUMBER.test(number) || decimal(String(Number(number))) === decimal(number);
}

/** Its digits without zeros around them, and the power of ten of the last one. */
function decimal(number: string): string {
  const [, sign, whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number) ?? [];
  const digits = `${whole}${fraction}`.replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  return `${sign}${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`;
}

/** `{1,NULL,"a b"}`, nested for more dimensions; lower bounds before it, `[0:1]={5,6}`, say nothing of the values. */
function array(text: string, delimiter: string, read: Reader): unknown[] {
  const open: unknown[][] = [];
  let at = text.indexOf('{');
  for (;;) {
    const values = open.at(-1);
    const character = text[at];
    if (character === undefined) return [text];
    if (character === '{') {
      const inner: unknown[] = [];
      values?.push(inner);
      open.push(inner);
      at += 1;
    } else if (character === '}') {
      at += 1;
      if (open.length === 1) return values as unknown[];
      open.pop();
    } else if (character === delimiter) {
      at += 1;
    } else {
      const [element, end] = elementAt(text, at, `${delimiter}}`);
      values?.push(element === null ? null : read(element));
      at = end;
    }
  }
}

/** The element that begins here, null for NULL, and where it ends. */
function elementAt(text: string, begin: number, ends: string): [string | null, number] {
  if (text[begin] === '"') return quotedAt(text, begin);
  let end = begin;
  while (end < text.length && !ends.includes(text[end] as string)) end += 1;
  const element = text.slice(begin, end);
  return [element === 'NULL' ? null : element, end];
}

/** Within quotes, a backslash or (in composites) another quote stands before a quote. */
function quotedAt(text: string, begin: number): [string, number] {
  let value = '';
  let at = begin + 1;
  for (;;) {
    const end = nextSpecial(text, at);
    value += text.slice(at, end);
    if (text[end] === '"' && text[end + 1] !== '"') return [value, end + 1];
    value += text[end + 1] ?? '';
    at = end + 2;
    if (at > text.length) return [value, text.length];
  }
}

function nextSpecial(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== '"' && text[at] !== '\\') at += 1;
  return at;
}

/** `(1,"a ""b""",)`: nothing at all is NULL. What does not have as many fields as the type has attributes stays text. */
function composite(text: string, names: readonly string[], readers: readonly Reader[]): unknown {
  const fields: (string | null)[] = [];
  let at = 1;
  while (at < text.length) {
    const [field, end] = fieldAt(text, at);
    fields.push(field);
    at = end + 1;
  }
  if (names.length === 0) return {};
  if (fields.length !== names.length) return text;
  const read = (field: string | null, index: number) => (field === null ? null : readers[index]?.(field));
  return Object.fromEntries(fields.map((field, index) => [names[index], read(field, index)]));
}

function fieldAt(text: string, begin: number): [string | null, number] {
  if (text[begin] === '"') return quotedAt(text, begin);
  let end = begin;
  while (end < text.length && text[end] !== ',' && text[end] !== ')') end += 1;
  return [end === begin ? null : text.slice(begin, end), end];
}

/** Names that an object can be keyed by: a repeated one gets `_2`, `_3`, ... */
export function uniqueNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let unique = name;
    for (let count = 2; taken.has(unique); count += 1) unique = `${name}_${count}`;
    taken.add(unique);
    return unique;
  });
}
