import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { auditServer } from 'graphql-http';
import { type Shell, startShell } from './shell.js';

let shell: Shell;
beforeAll(async () => {
  shell = await startShell();
});
afterAll(() => shell.close());

test('no audit of GraphQL over HTTP ends with an error or a warning', async () => {
  const results = await auditServer({ url: `${shell.url}/graphql`, fetchFn: fetch });
  expect(results).toHaveLength(61);
  const failures = results.filter(({ status }) => status === 'error' || status === 'warn');
  expect(failures.map(({ id, name }) => `${id} ${name}`)).toEqual([]);
});

test('the audits that are left with a notice are those of a GET without the header against CSRF', async () => {
  const results = await auditServer({ url: `${shell.url}/graphql`, fetchFn: fetch });
  const notices = results.filter(({ status }) => status === 'notice');
  expect(notices.map(({ id }) => id).sort()).toEqual(['5A70', '6A70', 'D6D5']);
  const headers = { 'apollo-require-preflight': 'true' };
  const response = await fetch(`${shell.url}/graphql?query={hello}`, { headers });
  expect(await response.json()).toEqual({ data: { hello: 'hello undefined' } });
});
