import { inspect } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { type Key, Keyring } from '../../src/stores/keyring.js';

const PLACE = { chatId: 'abc', field: 'source' };
const OLD = keyOf('old', 1);
const NEW = keyOf('new', 2);

describe('a keyring', () => {
  test.each(['', 'secret', 'пароль 🔑\u0000', 'x'.repeat(5000)])('opens what it has sealed: %j', (text) => {
    const keyring = new Keyring([OLD]);
    expect(keyring.open(PLACE, keyring.seal(PLACE, text))).toBe(text);
  });

  test('seals the same never alike, and tells nothing but the length', () => {
    const keyring = new Keyring([OLD]);
    const envelopes = Array.from({ length: 1000 }, () => keyring.seal(PLACE, 'secret'));
    expect(new Set(envelopes.map(nonceOf)).size).toBe(1000);
    for (const envelope of envelopes) {
      expect(envelope).toMatch(/^old\.[\w-]+$/);
      expect(Buffer.from(envelope.slice(4), 'base64url')).toHaveLength(12 + 16 + 'secret'.length);
    }
  });

  test('opens with each of its keys, and seals with the first', () => {
    const sealed = new Keyring([OLD]).seal(PLACE, 'secret');
    const both = new Keyring([NEW, OLD]);
    expect(both.open(PLACE, sealed)).toBe('secret');
    expect(both.seal(PLACE, 'secret')).toMatch(/^new\./);
  });

  test('names a key that it does not have', () => {
    const sealed = new Keyring([OLD]).seal(PLACE, 'secret');
    expect(() => new Keyring([NEW]).open(PLACE, sealed)).toThrow('the key old is missing');
  });

  test('names a key that is another one than its name says', () => {
    const sealed = new Keyring([OLD]).seal(PLACE, 'secret');
    expect(() => new Keyring([keyOf('old', 3)]).open(PLACE, sealed)).toThrow('the key old does not decrypt');
  });

  test.each([
    ['another chat', { ...PLACE, chatId: 'abd' }],
    ['another field', { ...PLACE, field: 'replica' }],
  ])('opens nothing in the place of %s', (_what, place) => {
    const keyring = new Keyring([OLD]);
    const sealed = keyring.seal(PLACE, 'secret');
    expect(() => keyring.open(place, sealed)).toThrow('does not decrypt');
  });

  test('opens nothing of which a single byte was changed, or that is cut off', () => {
    const keyring = new Keyring([OLD]);
    const sealed = Buffer.from(keyring.seal(PLACE, 'secret').slice(4), 'base64url');
    for (let index = 0; index < sealed.length; index += 1) {
      const changed = Buffer.from(sealed);
      changed[index] = (changed[index] as number) ^ 1;
      expect(() => keyring.open(PLACE, `old.${changed.toString('base64url')}`)).toThrow('does not decrypt');
      const cut = sealed.subarray(0, index).toString('base64url');
      expect(() => keyring.open(PLACE, `old.${cut}`)).toThrow('does not decrypt');
    }
  });

  test('tells no key when it is logged', () => {
    const keyring = new Keyring([OLD]);
    const shown = JSON.stringify(keyring) + inspect(keyring, { depth: 9, showHidden: true });
    expect(shown).not.toContain(OLD.secret.toString('base64').slice(0, 8));
    expect(shown).not.toContain(OLD.secret.toString('hex').slice(0, 8));
    expect(shown).not.toContain('01 01 01');
  });
});

function keyOf(id: string, byte: number): Key {
  return { id, secret: Buffer.alloc(32, byte) };
}

function nonceOf(envelope: string): string {
  return Buffer.from(envelope.slice(4), 'base64url').subarray(0, 12).toString('hex');
}
