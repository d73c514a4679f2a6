import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError, loadConfig } from '../src/config.js';
import { messageOf } from '../src/domain/errors.js';
import { bench } from './bench.js';
import { BenchError } from './errors.js';
import { HELP, optionsOf } from './options.js';
import { report } from './report.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

async function main(args: string[]): Promise<void> {
  const options = optionsOf(args);
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const at = new Date();
  const { results, circumstances } = await bench(options, loadConfig(process.env), ROOT, { log: say, interrupted });
  const command = ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' ');
  const text = report(results, { ...circumstances, command, at });
  process.stdout.write(`${text}\n`);
  const out = options.out ?? join(ROOT, 'bench/RESULTS.md');
  await mkdir(dirname(out), { recursive: true });
  await writeFile(out, text);
  say(`written to ${relative(process.cwd(), out)}`);
}

/** Rejects on the first signal; a second one ends the process as it is. */
function interrupted(): Promise<never> {
  return new Promise((_resolve, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        say(`${signal}: removing what was started`);
        reject(new BenchError(`ended by ${signal}`));
      });
    }
  });
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error) => {
    const expected = error instanceof BenchError || error instanceof ConfigError;
    say(expected ? error.message : (error?.stack ?? messageOf(error)));
    // What was interrupted may still be waiting for something.
    process.exit(1);
  },
);
