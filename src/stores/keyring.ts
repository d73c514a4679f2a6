import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const ALGORITHM = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

export interface Key {
  /** Of letters, digits, _ and -. */
  readonly id: string;
  /** 32 bytes. */
  readonly secret: Buffer;
}

/** Which secret of which chat: bound into its envelope, so that none can be put in the place of another. */
export interface Place {
  readonly chatId: string;
  readonly field: string;
}

/** Its message is one line for whoever starts the server. */
export class KeyringError extends Error {
  override readonly name = 'KeyringError';
}

/** Encrypts with its first key, and decrypts with whichever one an envelope (`id.base64url`) names. */
export class Keyring {
  // Private, so that a keyring which is logged or serialised tells no key.
  readonly #keys: readonly [Key, ...Key[]];

  constructor(keys: readonly [Key, ...Key[]]) {
    this.#keys = keys;
  }

  /** That of new envelopes. */
  get currentId(): string {
    return this.#keys[0].id;
  }

  get ids(): readonly string[] {
    return this.#keys.map(({ id }) => id);
  }

  seal(place: Place, text: string, { id, secret }: Key = this.#keys[0]): string {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(ALGORITHM, secret, iv).setAAD(associatedData(id, place));
    const encrypted = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return `${id}.${Buffer.concat([iv, cipher.getAuthTag(), encrypted]).toString('base64url')}`;
  }

  /** Throws KeyringError when its key is missing, or when it was sealed with another one or for another place. */
  open(place: Place, envelope: string): string {
    const [id = '', text = ''] = envelope.split('.', 2);
    const key = this.#keys.find((candidate) => candidate.id === id);
    if (!key) throw new KeyringError(`the key ${id} is missing, with which a password is encrypted`);
    const bytes = Buffer.from(text, 'base64url');
    const [iv, tag] = [bytes.subarray(0, IV_BYTES), bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES)];
    try {
      const decipher = createDecipheriv(ALGORITHM, key.secret, iv, { authTagLength: TAG_BYTES });
      decipher.setAAD(associatedData(id, place)).setAuthTag(tag);
      return decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
    } catch (cause) {
      throw new KeyringError(`the key ${id} does not decrypt what was encrypted with the key of this name`, { cause });
    }
  }

  /** A known word in an envelope of each key. */
  checks(): { id: string; envelope: string }[] {
    return this.#keys.map((key) => ({ id: key.id, envelope: this.seal(CHECK, CHECK_WORD, key) }));
  }

  /** Throws KeyringError when the check was made with another key of this name. */
  verify(check: string): void {
    this.open(CHECK, check);
  }
}

const CHECK: Place = { chatId: '', field: 'check' };
const CHECK_WORD = 'replichat';

function associatedData(keyId: string, { chatId, field }: Place): Buffer {
  return Buffer.from(`replichat:${keyId}:${chatId}:${field}`);
}
