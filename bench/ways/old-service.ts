import { setTimeout as sleep } from 'node:timers/promises';
import { contentsOf } from '../dataset.js';
import type { Lab } from '../lab.js';
import type { Way } from './way.js';

const ITS_SLEEP_MS = 3_000;

/** What Replichat replaces. The clock runs from `docker run` to the end of psql. */
export function oldService(lab: Lab): Way {
  return {
    letter: 'a',
    name: 'docker run, docker cp, sleep 3, psql -f',
    async measure({ plain }) {
      const begin = performance.now();
      return lab.withContainer('stock', async (container) => {
        await container.copyIn(plain, '/dump.sql');
        await sleep(ITS_SLEEP_MS);
        // It would fail where three seconds are too few; here it may wait.
        await container.ready();
        await container.run('psql -X -d postgres -f /dump.sql');
        const seconds = (performance.now() - begin) / 1000;
        return { seconds, contents: await contentsOf(container) };
      });
    },
  };
}
