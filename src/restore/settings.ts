import { type FirstBytes, LETTER_D, LETTER_R, LETTER_S } from './bytes.js';

/** What of the session's settings decides how a script is split, as the script sets it. */
export class Settings {
  standardStrings = true;
  /** Of the client encoding, where the second byte of a character may be an ASCII one. */
  firstBytes: FirstBytes | undefined;

  follow(statement: Buffer): void {
    const initial = (statement[0] as number) | 0x20;
    if (initial !== LETTER_S && initial !== LETTER_R && initial !== LETTER_D) return;
    const text = statement.toString('latin1').replace(/--[^\r\n]*/g, '');
    this.standardStrings = standardStringsAfter(text) ?? this.standardStrings;
    const encoding = clientEncodingAfter(text);
    if (encoding !== undefined) this.firstBytes = firstBytesOf(encoding);
  }
}

const STANDARD_STRINGS = settingPatterns('standard_conforming_strings');
const CLIENT_ENCODING = settingPatterns('client_encoding');

function settingPatterns(name: string): { readonly set: RegExp; readonly setConfig: RegExp; readonly reset: RegExp } {
  return {
    set: new RegExp(`^set\\s+(?:(?:session|local)\\s+)?"?${name}"?\\s*(?:=|\\bto\\b)\\s*(\\S+)\\s*$`, 'i'),
    setConfig: new RegExp(`\\bset_config\\s*\\(\\s*'${name}'\\s*,\\s*('[^']*')`, 'i'),
    reset: new RegExp(`^(?:reset\\s+(?:all|"?${name}"?)|discard\\s+all)\\s*$`, 'i'),
  };
}

/** What the statement sets; undefined when it leaves it alone. */
function settingAfter(statement: string, { set, setConfig, reset }: typeof CLIENT_ENCODING): string | undefined {
  if (reset.test(statement)) return 'default';
  const [, value] = set.exec(statement) ?? setConfig.exec(statement) ?? [];
  return value?.replace(/^(['"])(.*)\1$/, '$2').toLowerCase();
}

function standardStringsAfter(statement: string): boolean | undefined {
  const value = settingAfter(statement, STANDARD_STRINGS);
  return value === undefined ? undefined : booleanOf(value);
}

const SET_NAMES = /^set\s+(?:(?:session|local)\s+)?names\s+(\S+)\s*$/i;

function clientEncodingAfter(statement: string): string | undefined {
  const named = SET_NAMES.exec(statement)?.[1];
  return settingAfter(named === undefined ? statement : `SET client_encoding TO ${named}`, CLIENT_ENCODING);
}

/** The encodings of encnames.c that clients have and servers have not, but for JOHAB, and their other names. */
const SHIFT_JIS = /^(sjis|shiftjis|mskanji|win(dows)?932|shiftjis2004)$/;
const TWO_BYTES = /^(big5|gbk|uhc|gb18030|win(dows)?(936|949|950))$/;

/** wchar.c: pg_sjis_mblen, pg_big5_mblen and the like. */
function firstBytesOf(encoding: string): FirstBytes | undefined {
  const name = encoding.replace(/[^a-z0-9]/g, '');
  if (!SHIFT_JIS.test(name) && !TWO_BYTES.test(name)) return undefined;
  // Katakana of half the width take one byte.
  return Uint8Array.from({ length: 256 }, (_, byte) =>
    byte < 0x80 || (SHIFT_JIS.test(name) && byte >= 0xa1 && byte <= 0xdf) ? 0 : 1,
  );
}

/** parse_bool of the server, which also takes what the words begin with. */
function booleanOf(value: string): boolean | undefined {
  if (value === '1' || value === 'default') return true;
  if (value === '0') return false;
  if (value === '' || value === 'o') return undefined;
  if (['on', 'true', 'yes'].some((word) => word.startsWith(value))) return true;
  return ['off', 'false', 'no'].some((word) => word.startsWith(value)) ? false : undefined;
}
