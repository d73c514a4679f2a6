import { describe, test } from '@jest/globals';
import { clientsAvailable } from '../support/postgres-clients.js';
import { describeClients } from './clients.js';

if (await clientsAvailable()) describeClients('embedded', { REPLICA_ENGINE: 'embedded' });
else describe.skip('a PostgreSQL client on engine embedded', () => test('needs psql', () => {}));
