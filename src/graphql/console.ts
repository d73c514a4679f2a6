import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import compression from 'compression';
import express, { type Express } from 'express';
import { pageHeaders } from './page-headers.js';

/** What web/build.js makes, two levels below the package's root as dist is. */
const BUILT = fileURLToPath(new URL('../../web/dist/', import.meta.url));

const NOT_BUILT =
  'The console is not built: run `npm ci` without --omit=dev, or `npm run build:web`. GraphiQL is at /graphiql.';

/** The page, at / and at the addresses of its own (web/src/shell/App.tsx), and its files. */
export function createConsole(folder = BUILT): Express {
  const app = express().disable('x-powered-by').disable('etag');
  // Their names change with what is in them.
  const assets = express.static(join(folder, 'assets'), {
    immutable: true,
    maxAge: '1y',
    index: false,
    redirect: false,
  });
  app.use(compression());
  app.use('/assets', assets);
  app.get('/favicon.svg', (_request, response) => response.sendFile('favicon.svg', { root: folder, maxAge: '1d' }));
  app.get(['/', '/chats/:id', '/chats/:id/:view'], (request, response) => {
    if (!existsSync(join(folder, 'index.html'))) return void response.status(404).type('text').send(NOT_BUILT);
    // Pictures in messages may be of other servers; the page asks before it loads one.
    response.set(pageHeaders(request, "'self' data: https:"));
    response.sendFile('index.html', { root: folder, cacheControl: false });
  });
  return app;
}
