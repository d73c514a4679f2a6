import express, { type Express } from 'express';
import type { Metrics } from './metrics.js';
import type { ReadinessCheck } from './readiness.js';

/** For those who run the server, who need no token. */
export function createReadyz(readiness: ReadinessCheck): Express {
  const app = express().disable('x-powered-by').disable('etag');
  app.get('/readyz', async (_request, response) => {
    const { ready, parts } = await readiness.check();
    response.status(ready ? 200 : 503).json({ status: ready ? 'ok' : 'unavailable', ...parts });
  });
  return app;
}

export function createMetricsPage(metrics: Metrics): Express {
  const app = express().disable('x-powered-by').disable('etag');
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.contentType).send(await metrics.text());
  });
  return app;
}
