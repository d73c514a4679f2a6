import type { Replichat } from '../replichat.js';
import type { Way } from './way.js';

/** The clock runs from the first byte of the upload until a watcher hears READY. */
export function replichat(server: Replichat): Way {
  return {
    letter: 'd',
    name: 'Replichat',
    async measure(data) {
      const { facts, ...measured } = await server.restore(data);
      return { ...measured, replichat: facts };
    },
  };
}
