export interface Word {
  /** Upper case for a keyword or a bare name, `"q"` in upper case for a quoted one, 's' for a string. */
  readonly shape: string;
  /** As written. */
  readonly text: string;
}

const WORD =
  /\s+|--[^\n]*|\/\*[\s\S]*?\*\/|("(?:[^"]|"")*")|('(?:[^']|'')*')|([A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)|([\s\S])/g;

/** The words of a statement, white space and comments left out. Exact for what the rules look at, not a full lexer. */
export function wordsOf(text: string): Word[] {
  const words: Word[] = [];
  for (const [match, quoted, string, bare, other] of text.matchAll(WORD)) {
    if (quoted) words.push({ shape: quoted.toUpperCase().replace(/\s/g, '_'), text: quoted });
    else if (string) words.push({ shape: "'s'", text: string });
    else if (bare) words.push({ shape: bare.toUpperCase(), text: bare });
    else if (other) words.push({ shape: match, text: match });
  }
  return words;
}

/** An identifier's value: unquoted, or folded to lower case. */
export function identifierOf(word: Word): string {
  return word.text.startsWith('"') ? word.text.slice(1, -1).replaceAll('""', '"') : foldCase(word.text);
}

/** PostgreSQL folds ASCII letters only, in UTF-8. */
function foldCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

export function isName(word: Word | undefined): word is Word {
  return word !== undefined && /^["A-Za-z_\u0080-\uffff]/.test(word.text);
}
