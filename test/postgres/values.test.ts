import { describe, expect, test } from '@jest/globals';
import { readerOf, type TypeShape, uniqueNames } from '../../src/postgres/values.js';

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
  timetz: 1266,
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
  box: 603,
  'box[]': 1020,
  'an enum': 16_999,
  'a composite': 17_000,
  composites: 17_001,
  'a domain': 17_002,
  'no attributes': 17_003,
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
  ['jsonb', '[1.5, 9007199254740993, -0.1]', [1.5, '9007199254740993', -0.1]],
  [
    'jsonb',
    '{"9007199254740993": 9007199254740992, "e": "1e400"}',
    { '9007199254740993': 9_007_199_254_740_992, e: '1e400' },
  ],
  [
    'json',
    '[1e400, 1e-400, 1E2, 0.1000000000000000000, 0.10000000000000000001]',
    ['1e400', '1e-400', 100, 0.1, '0.10000000000000000001'],
  ],
  ['json', '"\\" 12345678901234567890 \\\\"', '" 12345678901234567890 \\'],
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
  ['interval', '1 mon -2 days', 'P1M-2D'],
  ['interval', '-1 years +2 mons', 'P-1Y2M'],
  ['interval', '3 days -04:05:06.789', 'P3DT-4H-5M-6.789S'],
  ['interval', '00:00:00.5', 'PT0.5S'],
  ['interval', '00:00:00', 'PT0S'],
  ['interval', 'infinity', 'infinity'],
  ['timetz', '09:34:33.5+00', '09:34:33.5+00:00'],
  ['timetz', '09:34:33-03:30', '09:34:33-03:30'],
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
  ['box[]', '{(1,1),(0,0);(2,2),(0,0)}', ['(1,1),(0,0)', '(2,2),(0,0)']],
  ['a composite', '(7,"say ""hi"" \\\\",,"{1,2}")', { n: 7, text: 'say "hi" \\', nothing: null, list: [1, 2] }],
  ['a composite', '(,"",,)', { n: null, text: '', nothing: null, list: null }],
  // Its type has been changed meanwhile.
  ['a composite', '(7,x)', '(7,x)'],
  ['composites', '{"(7,\\"a b\\",,\\"{1,2}\\")",NULL}', [{ n: 7, text: 'a b', nothing: null, list: [1, 2] }, null]],
  ['a domain', '9', 9],
  ['no attributes', '()', {}],
];

const composite = {
  n: OID.int4,
  text: OID.text,
  nothing: OID.date,
  list: OID['int4[]'],
};

const SHAPES = new Map<number, TypeShape>([
  ...Object.entries(OID).flatMap(([name, oid]): [number, TypeShape][] =>
    name.endsWith('[]')
      ? [
          [
            oid,
            {
              kind: 'array',
              element: OID[name.slice(0, -2) as keyof typeof OID],
              delimiter: name === 'box[]' ? ';' : ',',
            },
          ],
        ]
      : [],
  ),
  [
    OID['a composite'],
    { kind: 'composite', attributes: Object.entries(composite).map(([name, type]) => ({ name, type })) },
  ],
  [OID.composites, { kind: 'array', element: OID['a composite'], delimiter: ',' }],
  [OID['a domain'], { kind: 'domain', base: OID.int4 }],
  [OID['no attributes'], { kind: 'composite', attributes: [] }],
]);

describe("PostgreSQL's text as JSON", () => {
  test.each(CASES)('%s: %j is %j', (type, text, value) => {
    const parsed = readerOf(OID[type], SHAPES)(text);
    expect(parsed).toEqual(value);
    // What is shown is what JSON makes of it.
    expect(JSON.parse(JSON.stringify(parsed))).toEqual(value);
  });

  test('a key named __proto__ is a key like any other', () => {
    const parsed = readerOf(OID.jsonb, SHAPES)('{"__proto__": {"admin": true}}') as object;
    expect(Object.keys(parsed)).toEqual(['__proto__']);
    expect('admin' in parsed).toBe(false);
  });

  test('json that is nested deeper than JSON can be written again stays text', () => {
    const nested = (depth: number) => `${'['.repeat(depth)}"]]"${']'.repeat(depth)}`;
    expect(JSON.stringify(readerOf(OID.json, SHAPES)(nested(500)))).toBe(nested(500));
    expect(readerOf(OID.json, SHAPES)(nested(501))).toBe(nested(501));
  });

  test('a long string of json is no trouble', () => {
    const text = `["${'\\"'.repeat(1_000_000)}", 12345678901234567890]`;
    expect(readerOf(OID.json, SHAPES)(text)).toEqual([
      '\\"'.repeat(1_000_000).replaceAll('\\\\', '\\').replaceAll('\\"', '"'),
      '12345678901234567890',
    ]);
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
