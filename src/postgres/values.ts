import type pg from 'pg';
import postgresArray from 'postgres-array';

/**
 * PostgreSQL's text output as JSON values, without loss: what a JavaScript number cannot hold stays a string. Object
 * ids are those of pg_type.dat, which never change.
 *
 * - boolean, smallint, integer, real, double precision: as such; NaN and Infinity as strings
 * - bigint: a number up to 2^53 - 1, beyond that a string; numeric: a string
 * - json, jsonb: as they are; arrays of the types here: arrays
 * - timestamp, timestamptz: ISO 8601; everything else: PostgreSQL's text
 */
const PARSERS: Record<number, (text: string) => unknown> = {
  16: (text) => text === 't',
  20: bigint,
  21: Number,
  23: Number,
  26: Number,
  114: JSON.parse,
  700: float,
  701: float,
  1114: timestamp,
  1184: timestamp,
  3802: JSON.parse,
};

/** Array type -> type of its elements. */
const ELEMENTS: Record<number, number> = {
  199: 114,
  1000: 16,
  1005: 21,
  1007: 23,
  1009: 25,
  1015: 1043,
  1016: 20,
  1021: 700,
  1022: 701,
  1115: 1114,
  1182: 1082,
  1185: 1184,
  1231: 1700,
  2951: 2950,
  3807: 3802,
};

/** For node-postgres: `types` of a client or a query. */
export const jsonTypes: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number) => parserOf(oid)) as pg.CustomTypesConfig['getTypeParser'],
};

function parserOf(oid: number): (text: string) => unknown {
  const element = ELEMENTS[oid];
  if (element === undefined) return PARSERS[oid] ?? asText;
  return (text) => postgresArray.parse(text, PARSERS[element] ?? asText);
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
