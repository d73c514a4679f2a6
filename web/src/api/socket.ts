import { makeVar } from '@apollo/client';
import { createClient } from 'graphql-ws';
import { credentials, tokenWanted } from './token.js';

/** False while the WebSocket is lost and being reconnected. */
export const connected = makeVar(true);

const PING_MS = 10_000;
const PONG_MS = 5_000;
const LONGEST_WAIT_MS = 5_000;
/** Close codes by which a server says that it does not know the reader. */
const UNAUTHENTICATED = [4401, 4403];

let unanswered: ReturnType<typeof setTimeout> | undefined;

export const socket = createClient({
  url: new URL('/graphql', location.href).href.replace(/^http/, 'ws'),
  connectionParams: credentials,
  lazyCloseTimeout: 2_000,
  keepAlive: PING_MS,
  retryAttempts: Number.POSITIVE_INFINITY,
  shouldRetry: () => true,
  retryWait: async (retries) => {
    const wait = Math.min(LONGEST_WAIT_MS, 250 * 2 ** retries) * (0.75 + Math.random() / 2);
    await Promise.race([new Promise((resolve) => setTimeout(resolve, wait)), cameOnline()]);
  },
  on: {
    connected: () => connected(true),
    closed: (event) => {
      clearTimeout(unanswered);
      const { code, wasClean } = event as CloseEvent;
      if (UNAUTHENTICATED.includes(code)) tokenWanted(true);
      connected(wasClean && code === 1000);
    },
    ping: (received) => {
      if (!received) unanswered = setTimeout(() => socket.terminate(), PONG_MS);
    },
    pong: (received) => {
      if (received) clearTimeout(unanswered);
    },
  },
});

function cameOnline(): Promise<unknown> {
  return new Promise((resolve) => addEventListener('online', resolve, { once: true }));
}
