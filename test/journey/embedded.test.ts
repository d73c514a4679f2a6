import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { runningProcesses } from '../support/processes.js';
import { describeJourney } from './journey.js';

describeJourney('embedded', {
  env: { REPLICA_ENGINE: 'embedded' },
  async leftovers(instance) {
    const folders = (await readdir(tmpdir())).filter((name) => name.startsWith(`replichat-${instance}-`));
    const processes = (await runningProcesses()).filter((command) => command.includes(`replichat-${instance}-`));
    // The binaries, where the clone's own cannot be run by PostgreSQL's user, stay for as long as the server.
    return [...folders.filter((name) => !name.endsWith('-binaries')), ...processes];
  },
});
