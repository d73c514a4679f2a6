import { badInput } from './errors.js';

export type Role = 'USER' | 'ASSISTANT';
/** A row: column name -> JSON value. Its own keys only, in column order. */
export type Row = Record<string, unknown>;

export type MessageContent =
  | { readonly type: 'TEXT'; readonly text: string }
  | { readonly type: 'QUERY'; readonly sql: string }
  | { readonly type: 'IMAGE'; readonly url: string; readonly alt: string | null }
  | {
      readonly type: 'TABLE';
      readonly columns: readonly string[];
      readonly rows: readonly Row[];
      readonly rowCount: number;
      readonly truncated: boolean;
    };

export interface Message {
  readonly id: string;
  readonly chatId: string;
  readonly role: Role;
  readonly content: MessageContent;
  readonly createdAt: Date;
}

/** What a client posts: exactly one of the four kinds. */
export interface ContentInput {
  text?: string | null;
  query?: string | null;
  table?: Row[] | null;
  image?: { url: string; alt?: string | null } | null;
}

/** Throws BAD_USER_INPUT when it is none or several kinds, empty, larger than `maxBytes` as JSON, or unsafe to show. */
export function contentOf(input: ContentInput, maxBytes: number): MessageContent {
  const kinds = Object.entries(input).filter(([, value]) => value !== undefined && value !== null);
  if (kinds.length !== 1) throw badInput('content', 'give exactly one of text, query, table and image');
  const field = `content.${kinds[0]?.[0]}`;
  const bytes = Buffer.byteLength(JSON.stringify(kinds[0]?.[1]) ?? '');
  if (bytes > maxBytes)
    throw badInput(field, `has ${bytes} bytes; at most ${maxBytes} are allowed (MAX_MESSAGE_BYTES)`);
  if (typeof input.text === 'string') return { type: 'TEXT', text: requireContent(field, input.text) };
  if (typeof input.query === 'string') return { type: 'QUERY', sql: requireContent(field, input.query) };
  if (input.image) return { type: 'IMAGE', url: requireImageUrl(input.image.url), alt: input.image.alt ?? null };
  return tableOf(input.table ?? []);
}

/** Columns in the order in which the rows first name them. */
function tableOf(rows: Row[]): MessageContent {
  const columns = new Set<string>();
  rows.forEach((row, index) => {
    if (typeof row !== 'object' || row === null || Array.isArray(row)) {
      throw badInput(`content.table[${index}]`, 'a row is an object, column name -> value');
    }
    for (const column of Object.keys(row)) columns.add(column);
  });
  return { type: 'TABLE', columns: [...columns], rows, rowCount: rows.length, truncated: false };
}

function requireContent(field: string, value: string): string {
  if (value.trim() === '') throw badInput(field, 'is empty; give what the message says');
  return value;
}

/** SVG is left out of the data URLs: opened on its own, it runs scripts. */
const DATA_IMAGE = /^data:image\/(?:png|jpeg|gif|webp|avif);base64,[A-Za-z0-9+/]+={0,2}$/;

function requireImageUrl(url: string): string {
  if (url.startsWith('data:')) {
    if (DATA_IMAGE.test(url)) return url;
    throw badInput('content.image.url', 'give a base64 data URL of a PNG, JPEG, GIF, WebP or AVIF image');
  }
  if (URL.canParse(url) && new URL(url).protocol === 'https:') return url;
  throw badInput('content.image.url', 'a page can only load https: URLs and data: URLs of images; give one of these');
}
