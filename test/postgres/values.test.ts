import { describe, expect, test } from '@jest/globals';
import { jsonTypes, uniqueNames } from '../../src/postgres/values.js';

/** Object ids of pg_type.dat. */
const OID = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  oid: 26,
  json: 114,
  point: 600,
  float4: 700,
  float8: 701,
  money: 790,
  varchar: 1043,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  interval: 1186,
  numeric: 1700,
  uuid: 2950,
  jsonb: 3802,
  int4range: 3904,
  'json[]': 199,
  'bool[]': 1000,
  'int2[]': 1005,
  'int4[]': 1007,
  'text[]': 1009,
  'varchar[]': 1015,
  'int8[]': 1016,
  'float4[]': 1021,
  'float8[]': 1022,
  'timestamp[]': 1115,
  'date[]': 1182,
  'timestamptz[]': 1185,
  'numeric[]': 1231,
  'uuid[]': 2951,
  'jsonb[]': 3807,
  'an enum': 16_999,
};

/** PostgreSQL's text -> the value. */
const CASES: [keyof typeof OID, string, unknown][] = [
  ['bool', 't', true],
  ['bool', 'f', false],
  ['int2', '-32768', -32_768],
  ['int4', '2147483647', 2_147_483_647],
  ['oid', '4294967295', 4_294_967_295],
  ['int8', '9007199254740991', 9_007_199_254_740_991],
  ['int8', '9007199254740992', '9007199254740992'],
  ['int8', '-9007199254740991', -9_007_199_254_740_991],
  ['int8', '-9223372036854775808', '-9223372036854775808'],
  ['float4', '3.4028235e+38', 3.4028235e38],
  ['float8', '0.1', 0.1],
  ['float8', '-1.5e-300', -1.5e-300],
  ['float8', 'NaN', 'NaN'],
  ['float8', 'Infinity', 'Infinity'],
  ['float8', '-Infinity', '-Infinity'],
  ['numeric', '1.10', '1.10'],
  ['numeric', '123456789012345678901234567890.5', '123456789012345678901234567890.5'],
  ['numeric', 'NaN', 'NaN'],
  ['money', '$1,000.00', '$1,000.00'],
  ['text', '', ''],
  ['text', 'NULL', 'NULL'],
  ['text', 'it\'s "fine"\\\n🙂', 'it\'s "fine"\\\n🙂'],
  ['varchar', '1', '1'],
  ['bytea', '\\xdeadbeef', '\\xdeadbeef'],
  ['uuid', '00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000001'],
  ['json', '{"b": 1, "a": [null, true]}', { b: 1, a: [null, true] }],
  ['json', ' 7 ', 7],
  ['jsonb', '"text"', 'text'],
  ['jsonb', 'null', null],
  ['date', '2022-02-15', '2022-02-15'],
  ['date', 'infinity', 'infinity'],
  ['time', '09:34:33.5', '09:34:33.5'],
  ['timestamp', '2022-02-15 09:34:33', '2022-02-15T09:34:33'],
  ['timestamp', '2022-02-15 09:34:33.123456', '2022-02-15T09:34:33.123456'],
  ['timestamp', 'infinity', 'infinity'],
  ['timestamp', '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00 BC'],
  ['timestamp', '12022-02-15 09:34:33', '12022-02-15 09:34:33'],
  ['timestamptz', '2022-02-15 09:34:33.5+00', '2022-02-15T09:34:33.5+00:00'],
  ['timestamptz', '2022-02-15 09:34:33-08', '2022-02-15T09:34:33-08:00'],
  ['timestamptz', '2022-02-15 09:34:33+05:30', '2022-02-15T09:34:33+05:30'],
  ['timestamptz', '1883-11-18 12:00:00-00:01:15', '1883-11-18 12:00:00-00:01:15'],
  ['timestamptz', '-infinity', '-infinity'],
  ['interval', '1 mon -2 days', '1 mon -2 days'],
  ['point', '(1,2)', '(1,2)'],
  ['int4range', '[1,5)', '[1,5)'],
  ['an enum', 'PG-13', 'PG-13'],
  ['int4[]', '{}', []],
  ['int4[]', '{1,NULL,-3}', [1, null, -3]],
  [
    'int4[]',
    '{{1,2},{3,4}}',
    [
      [1, 2],
      [3, 4],
    ],
  ],
  ['int4[]', '[0:1]={5,6}', [5, 6]],
  ['int2[]', '{1}', [1]],
  ['int8[]', '{1,9007199254740993}', [1, '9007199254740993']],
  ['bool[]', '{t,f,NULL}', [true, false, null]],
  ['float4[]', '{1.5,NaN}', [1.5, 'NaN']],
  ['float8[]', '{-0.5,Infinity}', [-0.5, 'Infinity']],
  ['numeric[]', '{1.10,NULL}', ['1.10', null]],
  ['text[]', '{a,NULL,"NULL",""}', ['a', null, 'NULL', '']],
  ['text[]', '{"a,b","{c}","say \\"hi\\"","back\\\\slash"," d "}', ['a,b', '{c}', 'say "hi"', 'back\\slash', ' d ']],
  ['varchar[]', '{"two\nlines",🙂}', ['two\nlines', '🙂']],
  ['uuid[]', '{00000000-0000-0000-0000-000000000001}', ['00000000-0000-0000-0000-000000000001']],
  ['date[]', '{2022-02-15,infinity}', ['2022-02-15', 'infinity']],
  ['timestamp[]', '{"2022-02-15 09:34:33",infinity}', ['2022-02-15T09:34:33', 'infinity']],
  ['timestamptz[]', '{"2022-02-15 09:34:33+00"}', ['2022-02-15T09:34:33+00:00']],
  ['json[]', '{"{\\"a\\": 1}"}', [{ a: 1 }]],
  ['jsonb[]', '{"{\\"a\\": [1, \\"x\\"]}",NULL}', [{ a: [1, 'x'] }, null]],
];

describe("PostgreSQL's text as JSON", () => {
  test.each(CASES)('%s: %j is %j', (type, text, value) => {
    const parsed = jsonTypes.getTypeParser(OID[type], 'text')(text);
    expect(parsed).toEqual(value);
    // What is shown is what JSON makes of it.
    expect(JSON.parse(JSON.stringify(parsed))).toEqual(value);
  });

  test('a key named __proto__ is a key like any other', () => {
    const parsed = jsonTypes.getTypeParser(OID.jsonb, 'text')('{"__proto__": {"admin": true}}') as object;
    expect(Object.keys(parsed)).toEqual(['__proto__']);
    expect('admin' in parsed).toBe(false);
  });
});

describe('uniqueNames', () => {
  test.each<[string[], string[]]>([
    [[], []],
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
    [
      ['a', 'a', 'a'],
      ['a', 'a_2', 'a_3'],
    ],
    [
      ['?column?', '?column?'],
      ['?column?', '?column?_2'],
    ],
    [
      ['a', 'a', 'a_2'],
      ['a', 'a_2', 'a_2_2'],
    ],
    [
      ['a_2', 'a', 'a'],
      ['a_2', 'a', 'a_3'],
    ],
    [
      ['a', 'A', ''],
      ['a', 'A', ''],
    ],
    [
      ['', ''],
      ['', '_2'],
    ],
    [
      ['constructor', '__proto__', '__proto__'],
      ['constructor', '__proto__', '__proto___2'],
    ],
  ])('%j are told apart as %j', (names, unique) => {
    expect(uniqueNames(names)).toEqual(unique);
  });
});
