import { type Row, textOf } from './values.js';

/** RFC 4180, with a header; NULL is an empty field and an empty string a quoted one, as PostgreSQL's COPY writes them. */
export function toCsv(columns: readonly string[], rows: readonly Row[]): string {
  const lines = [columns.map(quotedIfNeeded), ...rows.map((row) => columns.map((column) => csvField(row[column])))];
  return `${lines.map((fields) => fields.join(',')).join('\r\n')}\r\n`;
}

/** For spreadsheets, which take tabs and line breaks as the borders of cells. */
export function toTsv(columns: readonly string[], rows: readonly Row[]): string {
  const cell = (text: string) => text.replaceAll(/[\t\r\n]+/g, ' ');
  return [columns, ...rows.map((row) => columns.map((column) => textOf(row[column])))]
    .map((cells) => cells.map(cell).join('\t'))
    .join('\n');
}

function csvField(value: unknown): string {
  if (value === null || value === undefined) return '';
  return value === '' ? '""' : quotedIfNeeded(textOf(value));
}

function quotedIfNeeded(text: string): string {
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
