import { readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { VARIABLES } from '../src/config/variables.js';

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');

describe('the README', () => {
  test('has every variable of the environment with its default and meaning', () => {
    const rows = readme.match(/^\| `[A-Z_]+` \|.*$/gm);
    expect(rows).toEqual(
      Object.entries(VARIABLES).map(
        ([name, { byDefault, description }]) => `| \`${name}\` | ${byDefault && `\`${byDefault}\``} | ${description} |`,
      ),
    );
  });

  test('opens with the two commands', () => {
    expect(/```sh\n([\s\S]*?)```/.exec(readme)?.[1]?.match(/^npm [a-z &]+[a-z]/gm)).toEqual([
      'npm ci && npm start',
      'npm cit',
    ]);
  });
});
