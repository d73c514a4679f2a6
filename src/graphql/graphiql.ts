import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import express, { type Express, type Request, type Response } from 'express';
import { pageHeaders } from './page-headers.js';

/** A tab that GraphiQL opens with. */
export interface Example {
  query: string;
  /** JSON. */
  variables?: string;
}

interface Asset {
  /** A folder. */
  root: string;
  file: string;
  /** Stands in the URL, so that a browser may keep the file for good. */
  version?: string;
}

const require = createRequire(import.meta.url);

/** The page's own files are no TypeScript and stay in the source tree, two levels below the package's root as dist is. */
const PAGE_FILES = fileURLToPath(new URL('../../src/graphql/graphiql/', import.meta.url));

/** The installed packages instead of a CDN. */
const ASSETS: Record<string, Asset> = {
  'react.js': packaged('react', 'umd/react.production.min.js'),
  'react-dom.js': packaged('react-dom', 'umd/react-dom.production.min.js'),
  'graphql-ws.js': packaged('graphql-ws', 'umd/graphql-ws.min.js'),
  'graphiql.js': packaged('graphiql', 'graphiql.min.js'),
  'graphiql.css': packaged('graphiql', 'graphiql.min.css'),
  'page.js': { root: PAGE_FILES, file: 'page.js' },
  'page.css': { root: PAGE_FILES, file: 'page.css' },
};

/** The page and its assets, to be mounted at /graphiql; works with no internet. */
export async function createGraphiQL(examples: readonly Example[]): Promise<Express> {
  const template = await readFile(join(PAGE_FILES, 'page.html'), 'utf8');
  const page = template
    .replace('"{{examples}}"', () => JSON.stringify(examples).replaceAll('<', '\\u003c'))
    .replaceAll(/\{\{asset (\S+)\}\}/g, (_match, name: string) => assetUrl(name));
  const app = express().disable('x-powered-by');
  app.get('/', (request, response) => sendPage(request, response, page));
  for (const [name, { root, file, version }] of Object.entries(ASSETS)) {
    const caching = version === undefined ? { maxAge: 0 } : { maxAge: '1y', immutable: true };
    app.get(`/assets/${name}`, (_request, response) => response.sendFile(file, { root, ...caching }));
  }
  return app;
}

function assetUrl(name: string): string {
  const version = ASSETS[name]?.version;
  return `/graphiql/assets/${name}${version === undefined ? '' : `?v=${version}`}`;
}

function packaged(name: string, file: string): Asset {
  const manifest: { version: string } = require(`${name}/package.json`);
  return { root: dirname(require.resolve(`${name}/package.json`)), file, version: manifest.version };
}

function sendPage(request: Request, response: Response, page: string): void {
  response.set(pageHeaders(request)).type('html').send(page);
}
