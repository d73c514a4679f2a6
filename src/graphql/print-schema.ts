import { readFile, writeFile } from 'node:fs/promises';
import { printedSchema } from './schema.js';

/** Writes schema.graphql; with --check only compares, and fails on a difference. */
const file = new URL('../../schema.graphql', import.meta.url);
const printed = await printedSchema();
if (!process.argv.includes('--check')) {
  await writeFile(file, printed);
} else if ((await readFile(file, 'utf8')) !== printed) {
  console.error('schema.graphql is not what the code says: run npm run schema and commit the difference');
  process.exitCode = 1;
}
