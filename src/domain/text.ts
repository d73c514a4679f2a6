import { badInput } from './errors.js';

/** What neither PostgreSQL nor a URL can hold: U+0000, and half a character (a lone surrogate). */
const UNSTORABLE = /\0|\p{Surrogate}/u;

export function isStorable(text: string): boolean {
  return !UNSTORABLE.test(text);
}

/** Throws BAD_USER_INPUT. */
export function requireStorable(field: string, text: string): void {
  if (text.includes('\0')) throw badInput(field, 'contains a NUL character; remove it');
  if (!isStorable(text)) throw badInput(field, 'contains half a character (a lone surrogate); remove it');
}
