import { type Chat, SOLE_OWNER } from '../../src/domain/chat.js';
import { newId } from '../../src/domain/ids.js';

/** A chat that could be anybody's, but for what is given. */
export function newChat(given: Partial<Chat> = {}): Chat {
  return {
    id: newId(),
    owner: SOLE_OWNER,
    name: 'Shop',
    host: 'db.example',
    port: 5432,
    user: 'app',
    database: 'shop',
    dbms: 'POSTGRESQL',
    environment: 'LOCAL',
    createdAt: new Date('2024-05-01T12:34:56.789Z'),
    ...given,
  };
}
