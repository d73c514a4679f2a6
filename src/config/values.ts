import { availableParallelism } from 'node:os';
import { z } from 'zod';

const UNITS = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };
const SECONDS = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 };

/** Bytes as Docker writes them: 512m, 2g. */
export const size = z.string().transform((text, context) => {
  const match = /^(\d+)\s*([kmgt]?)(?:i?b)?$/i.exec(text);
  if (match) return Number(match[1]) * UNITS[(match[2] as string).toLowerCase() as keyof typeof UNITS];
  context.addIssue('is no size; write a number of bytes, or 512k, 512m, 2g');
  return z.NEVER;
});

export const memory = size.refine((bytes) => bytes >= 128 * UNITS.m, 'is too little; a replica needs at least 128m');

export const duration = z.string().transform((text, context) => {
  const match = /^(\d+)\s*([smhd]?)$/i.exec(text);
  if (match) return Number(match[1]) * SECONDS[(match[2] as string).toLowerCase() as keyof typeof SECONDS];
  context.addIssue('is no duration; write a number of seconds, or 90s, 30m, 12h, 7d');
  return z.NEVER;
});

/** What a timer of Node can wait for: it takes more than 2^31 ms for none. */
export const timeout = duration.refine((seconds) => seconds >= 1 && seconds <= 24 * SECONDS.d, {
  error: 'is out of range; give 1s to 24d',
});

export const integer = (least: number, most: number) => {
  const error = `is out of range; give a whole number from ${least} to ${most}`;
  return z.coerce
    .number(error)
    .refine((value) => Number.isInteger(value) && value >= least && value <= most, { error });
};

const PORT_ERROR = 'is no TCP port; give one from 0 to 65535, auto or off';
export const gatewayPort = z
  .string()
  .transform((text) => (text === 'auto' || text === 'off' ? text : Number(text)))
  .refine((port) => typeof port === 'string' || (Number.isInteger(port) && port >= 0 && port <= 65_535), {
    error: PORT_ERROR,
  });

const MACHINE_CPUS = availableParallelism();
const CPUS_ERROR = `is no number of CPUs; give 0 to ${MACHINE_CPUS}, which this machine has`;
export const cpus = z.coerce.number(CPUS_ERROR).min(0, CPUS_ERROR).max(MACHINE_CPUS, CPUS_ERROR);

export const oneOf = <const T extends readonly string[]>(...values: T) =>
  z.enum(values, { error: `is unknown; give one of ${values.join(', ')}` });

export interface CredentialsKey {
  readonly id: string;
  readonly secret: Buffer;
}

const KEY = /^([\w-]{1,32}):([A-Za-z0-9+/]{43}=)$/;
const KEYS_ERROR =
  'has an entry that is not id:key; give comma-separated ones, each key 32 bytes in base64 (openssl rand -base64 32)';

/** `id:base64,id:base64`: none, or each with an id of its own. */
export const credentialsKeys = z.string().transform((text, context): CredentialsKey[] => {
  const keys = text
    .split(',')
    .filter((entry) => entry.trim() !== '')
    .map((entry) => {
      const [, id = '', base64 = ''] = KEY.exec(entry.trim()) ?? [];
      return { id, secret: Buffer.from(base64, 'base64') };
    });
  if (keys.some(({ id }) => id === '')) context.addIssue(KEYS_ERROR);
  else if (new Set(keys.map(({ id }) => id)).size < keys.length) context.addIssue('names two keys alike');
  return keys;
});

export const databaseUrl = z
  .string()
  .refine((text) => text === '' || (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)), {
    error: 'is no URL of a PostgreSQL database; give postgres://user:password@host:port/database',
  });

export const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);

export const metricsPort = z
  .string()
  .transform((text) => (text === '' ? undefined : Number(text)))
  .refine((port) => port === undefined || (Number.isInteger(port) && port >= 0 && port <= 65_535), {
    error: 'is no TCP port; give one from 0 to 65535, where 0 takes a free one',
  });

export interface Rate {
  readonly count: number;
  readonly seconds: number;
}

const RATE_ERROR = 'is no rate; write how many in which time, as 60/1h, or off';
export const rate = z.string().transform((text, context): Rate | undefined => {
  if (text === 'off') return undefined;
  const [, count = '', time = ''] = /^([^/]*)\/([^/]*)$/.exec(text) ?? [];
  const seconds = duration.safeParse(time);
  if (/^[1-9]\d{0,8}$/.test(count) && seconds.success && seconds.data >= 1)
    return { count: Number(count), seconds: seconds.data };
  context.addIssue(RATE_ERROR);
  return z.NEVER;
});

export const flag = oneOf('true', 'false').transform((text) => text === 'true');

export const optionalUrl = z
  .string()
  .refine((text) => text === '' || (URL.canParse(text) && /^https?:/.test(text)), {
    error: 'is no URL of http or https',
  })
  .transform((text) => (text === '' ? undefined : new URL(text)));

const JWKS_URL_ERROR = 'is no URL of https, or of http on this machine';
export const jwksUrl = z
  .string()
  .refine((text) => text === '' || isSafeUrl(text), { error: JWKS_URL_ERROR })
  .transform((text) => (text === '' ? undefined : new URL(text)));

/** Whoever can change the keys on their way can sign tokens. */
function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
}

/** Of an address to listen on, or of a URL's host. */
export function isLoopback(host: string): boolean {
  return /^(localhost|(::ffff:)?127\.\d+\.\d+\.\d+|::1|\[::1\])$/i.test(host);
}
