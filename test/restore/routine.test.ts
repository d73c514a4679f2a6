import { describe, expect, test } from '@jest/globals';
import { withoutRefusedClause } from '../../src/restore/routine.js';

const LEAKPROOF = 'only superuser can define a leakproof function';
const SUPPORT = 'must be superuser to specify a support function';
const SETTING = 'permission denied to set parameter "log_statement"';

function without(refusal: string, statement: string): string | undefined {
  return withoutRefusedClause(Buffer.from(statement, 'latin1'), refusal)?.toString('latin1');
}

describe('a function without what only a superuser may give to it', () => {
  test.each([
    [LEAKPROOF, 'CREATE FUNCTION f() RETURNS int LANGUAGE sql >LEAKPROOF< RETURN 1'],
    [
      LEAKPROOF,
      'create function leakproof (leakproof int) returns leakproof as $$ LEAKPROOF $$ >leakproof< language sql',
    ],
    [LEAKPROOF, "CREATE PROCEDURE a.leakproof() AS E'\\' LEAKPROOF' LANGUAGE sql -- LEAKPROOF\n>LEAKPROOF<"],
    [
      LEAKPROOF,
      'CREATE FUNCTION f(a text DEFAULT (\')\' || (")LEAKPROOF"))) >LEAKPROOF< BEGIN ATOMIC SELECT LEAKPROOF; END',
    ],
    [LEAKPROOF, "CREATE FUNCTION größe$$() >LEAKPROOF< AS $ß$ ' LEAKPROOF $$ $ß$"],
    [SUPPORT, 'CREATE FUNCTION support(support int) RETURNS support STRICT >SUPPORT a."b c"< AS $$$$'],
    [SUPPORT, 'CREATE FUNCTION f() >SUPPORT s< RETURN support s'],
    [LEAKPROOF, 'ALTER FUNCTION f(leakproof int) STABLE >LEAKPROOF< SET a = leakproof'],
    [
      SETTING,
      "CREATE FUNCTION f() SET log_statements = 1 >SET log_statement TO 'all'< AS $$ SET log_statement TO 'all' $$",
    ],
    [
      SETTING,
      `CREATE FUNCTION f() SET a = log_statement >SET "LOG_statement"='a', -1,"b c" , 'd''e'< SET work_mem = 1 AS $$$$`,
    ],
    [SETTING, 'CREATE FUNCTION f() >SET log_statement TO DEFAULT< LANGUAGE sql'],
  ])('%s: %s', (refusal, marked) => {
    const [before = '', clause = '', after = ''] = marked.split(/[<>]/);
    expect(without(refusal, before + clause + after)).toBe(before + after);
  });

  test.each([
    [LEAKPROOF, 'ALTER FUNCTION f() LEAKPROOF'],
    [LEAKPROOF, 'alter routine leakproof leakproof restrict'],
    [LEAKPROOF, 'ALTER FUNCTION "a b" . "c;LEAKPROOF" (IN x int DEFAULT 1) /* so */ LEAKPROOF'],
    [SUPPORT, 'ALTER FUNCTION s.f(int) SUPPORT s.g'],
    [SETTING, "ALTER PROCEDURE f() SET log_statement TO 'all'"],
  ])('of which nothing is left: %s: %s', (refusal, statement) => {
    expect(without(refusal, statement)).toBe('');
  });

  test.each([
    ['refused for something else', 'permission denied for schema s', 'CREATE FUNCTION s.f() LEAKPROOF RETURN 1'],
    ['without the clause', LEAKPROOF, 'CREATE FUNCTION leakproof() NOT LEAKPROOF RETURN leakproof'],
    ['with comments that may nest', LEAKPROOF, 'CREATE FUNCTION f() /* /* */ LEAKPROOF */ LEAKPROOF RETURN 1'],
    ['with a string that may not end there', LEAKPROOF, "CREATE FUNCTION f() LANGUAGE 'a\\' LEAKPROOF RETURN '' AS ''"],
    ['with a setting of the caller', SETTING, 'CREATE FUNCTION f() SET log_statement FROM CURRENT RETURN 1'],
  ])('not touched: %s', (_what, refusal, statement) => {
    expect(without(refusal, statement)).toBeUndefined();
  });
});
