// Builds the console into web/dist unless what is there was made of the same files. Run by `npm ci` and `npm start`.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const STAMP = join(ROOT, 'web/dist/.made-of');
const { resolve } = createRequire(import.meta.url);

const made = fingerprint();
if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === made) process.exit();
if (!isInstalled('vite') || !isInstalled('@graphql-codegen/cli')) {
  console.log(
    'The console is not built: that takes the development dependencies, which `npm ci` without --omit=dev installs.',
  );
  process.exit();
}
for (const script of ['codegen', 'build:web']) {
  execFileSync('npm', ['run', '--silent', script], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
}
writeFileSync(STAMP, made);

function isInstalled(name) {
  try {
    return existsSync(dirname(resolve(`${name}/package.json`)));
  } catch {
    return false;
  }
}

/** Of everything that the build reads. */
function fingerprint() {
  const hash = createHash('sha256');
  const sources = readdirSync(join(ROOT, 'web'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => !/web[/\\](dist|src[/\\]api[/\\]generated)[/\\]/.test(path));
  for (const path of [...sources.sort(), ...['schema.graphql', 'package-lock.json'].map((name) => join(ROOT, name))]) {
    hash.update(path.slice(ROOT.length)).update('\0').update(readFileSync(path)).update('\0');
  }
  return hash.digest('hex');
}
