export const LF = 0x0a;
export const CR = 0x0d;
export const DOUBLE_QUOTE = 0x22;
export const DOLLAR = 0x24;
export const AMPERSAND = 0x26;
export const QUOTE = 0x27;
export const OPEN_PAREN = 0x28;
export const CLOSE_PAREN = 0x29;
export const STAR = 0x2a;
export const PLUS = 0x2b;
export const DASH = 0x2d;
export const DOT = 0x2e;
export const SLASH = 0x2f;
export const SEMICOLON = 0x3b;
export const BACKSLASH = 0x5c;

/** Letters in lower case, to compare with `byte | 0x20`. */
export const LETTER_B = 0x62;
export const LETTER_C = 0x63;
export const LETTER_D = 0x64;
export const LETTER_E = 0x65;
export const LETTER_R = 0x72;
export const LETTER_S = 0x73;
export const LETTER_U = 0x75;
export const LETTER_X = 0x78;

/** What a byte may begin or be part of: the character sets of psqlscan.l. */
export const BLANK = 1;
export const DIGIT = 2;
export const IDENT_START = 4;
export const IDENT_CONT = 8;
/** `dolq_cont`: as `ident_cont`, without the dollar sign. */
export const TAG_CONT = 16;
/** A byte at which the scanner of a statement has to look. */
export const SPECIAL = 32;

const SETS = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) SETS[byte] = setsOf(byte);

function setsOf(byte: number): number {
  const char = String.fromCharCode(byte);
  if (/[ \t\n\r\f\v]/.test(char)) return BLANK;
  if (/[A-Za-z_\x80-\xff]/.test(char)) return SPECIAL | IDENT_START | IDENT_CONT | TAG_CONT;
  if (/[0-9]/.test(char)) return SPECIAL | DIGIT | IDENT_CONT | TAG_CONT;
  if (char === '$') return SPECIAL | IDENT_CONT;
  return /['"();\\/-]/.test(char) ? SPECIAL : 0;
}

/** By byte: 1 for the first one of a character with two. Those of GB18030 with four are two such pairs. */
export type FirstBytes = Uint8Array;

/** Looking `undefined` up in the table would make V8 compile every look-up for the worst: a third of the speed. */
export function isIn(set: number, byte: number | undefined): boolean {
  return byte !== undefined && ((SETS[byte] as number) & set) !== 0;
}

/** Index of the first byte from `at` on that is not in the set. */
export function runEnd(set: number, bytes: Buffer, at: number): number {
  let end = at;
  while (end < bytes.length && isIn(set, bytes[end])) end++;
  return end;
}

/** The same, where a character that begins with one of `firstBytes` has two; it may be one behind the last byte. */
export function pairsEnd(set: number, firstBytes: FirstBytes, bytes: Buffer, at: number): number {
  let end = at;
  while (end < bytes.length && isIn(set, bytes[end])) end += firstBytes[bytes[end] as number] ? 2 : 1;
  return end;
}

/** As Buffer.indexOf, whose call costs more than looking at the first bytes here: most literals are short. */
export function indexOf(byte: number, bytes: Buffer, from: number): number {
  const near = Math.min(from + 32, bytes.length);
  for (let at = from; at < near; at++) if (bytes[at] === byte) return at;
  return bytes.indexOf(byte, near);
}

/** {integer}, {integer_junk}, {realfail}: neither does the `e` of 1e5 begin a literal, nor the `-` of 1e-5 a comment. */
export function numberEnd(bytes: Buffer, at: number): number {
  const end = runEnd(DIGIT, bytes, at);
  if (!isIn(IDENT_START, bytes[end])) return end;
  const isExponent = ((bytes[end] as number) | 0x20) === LETTER_E;
  return isExponent && (bytes[end + 1] === DASH || bytes[end + 1] === PLUS) ? end + 2 : runEnd(IDENT_CONT, bytes, end);
}

export function lineEnd(bytes: Buffer, at: number): number {
  let end = at;
  while (end < bytes.length && bytes[end] !== LF && bytes[end] !== CR) end++;
  return end;
}
