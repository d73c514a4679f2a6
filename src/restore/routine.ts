const WORD = '[\\w$.\\x80-\\xff"]+';
const VALUE = `(-\\s*)?${WORD}|'s*'`;
/** After these, a word is a name. */
const NAMED = '(?<!\\b(FUNCTION|PROCEDURE|ROUTINE|NOT|RETURNS|SETOF|LANGUAGE|SUPPORT|SET|TO|FROM|TYPE)\\s+|[.=,]\\s*)';

/** What only a superuser may give to a routine, by what PostgreSQL says to others (commands/functioncmds.c, guc.c). */
const CLAUSES: readonly { readonly refusal: RegExp; readonly clause: (setting: string) => string }[] = [
  { refusal: /^only superuser can define a leakproof function$/, clause: () => 'LEAKPROOF' },
  { refusal: /^must be superuser to specify a support function$/, clause: () => `SUPPORT\\s+${WORD}` },
  {
    refusal: /^permission denied to set parameter "([\w.]+)"$/,
    clause: (setting) =>
      `SET\\s+"?${setting.replace('.', '\\.')}"?\\s*(=|\\bTO\\b)\\s*(${VALUE})(\\s*,\\s*(${VALUE}))*`,
  },
];

/** Comments, strings, bodies, quoted names. */
const OPAQUE =
  /--[^\n]*|\/\*[\s\S]*?\*\/|[eE]'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|(?<![\w$\x80-\xff])(\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$)[\s\S]*?\1/g;

/** An ALTER of a routine that would change nothing any more: what is in parentheses stands there as dollar signs. */
const NO_CHANGE = new RegExp(
  `^\\s*ALTER\\s+\\w+\\s+${WORD}(\\s*\\.\\s*${WORD})?(\\s+\\$+)?\\s*(\\bRESTRICT\\s*)?$`,
  'i',
);

/**
 * A CREATE or ALTER of a FUNCTION or PROCEDURE without the clause for which the server has refused it with that message;
 * empty when nothing is left of it. Undefined where it was refused for something else, or the clause cannot be told for
 * certain.
 */
export function withoutRefusedClause(statement: Buffer, message: string): Buffer | undefined {
  const known = CLAUSES.find(({ refusal }) => refusal.test(message));
  const text = statement.toString('latin1');
  const options = known && optionsOf(text);
  if (!options) return undefined;
  const setting = known.refusal.exec(message)?.[1] ?? '';
  const clause = new RegExp(`${NAMED}\\b${known.clause(setting)}(?![\\w$.\\x80-\\xff"])`, 'i').exec(options);
  if (!clause) return undefined;
  const without = (whole: string) => whole.slice(0, clause.index) + whole.slice(clause.index + clause[0].length);
  return NO_CHANGE.test(without(options)) ? Buffer.alloc(0) : Buffer.from(without(text), 'latin1');
}

/** Everything at its place, but what is no option left blank, strings filled, and the body in SQL, which comes last, left out. */
function optionsOf(text: string): string | undefined {
  let certain = true;
  const plain = text.replace(OPAQUE, (token) => {
    // Comments nest, and whether a backslash is one in a plain string, is a setting.
    if (/^(\/\*[\s\S]+\/\*|'[\s\S]*\\)/.test(token)) certain = false;
    if (/^(--|\/\*)/.test(token)) return ' '.repeat(token.length);
    return token.startsWith('"') ? token.replace(/[^\w."]/g, '_') : `'${'s'.repeat(token.length - 2)}'`;
  });
  let depth = 0;
  const options = plain.replace(/[()]|[^()]+/g, (piece) => {
    if (piece === '(') depth += 1;
    const inside = depth > 0;
    if (piece === ')') depth -= 1;
    return inside ? '$'.repeat(piece.length) : piece;
  });
  const body = options.search(/\b(RETURN|BEGIN\s+ATOMIC)\b/i);
  return certain ? options.slice(0, body < 0 ? undefined : body) : undefined;
}
