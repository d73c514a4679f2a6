import { defineConfig } from 'vite';

const api = 'http://localhost:4000';

/** `npm run dev:web` serves the sources and passes the rest on to a server that runs on its default port. */
export default defineConfig({
  root: 'web',
  build: {
    target: ['chrome125', 'firefox125', 'safari17.5'],
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1000,
    // "use client" means something to servers that render React only.
    rolldownOptions: { onLog: (level, log, handle) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && handle(level, log) },
  },
  server: {
    proxy: {
      '/graphql': { target: api, ws: true },
      '/graphiql': api,
    },
  },
});
