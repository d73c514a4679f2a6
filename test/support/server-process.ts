import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { clientOf } from './app.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const START_MS = 240_000;

/** The server as `npm run build` makes it, in a folder of its own: tests that run side by side do not meet in dist. */
export interface Build {
  readonly main: string;
  remove(): Promise<void>;
}

export async function buildServer(): Promise<Build> {
  const folder = await mkdtemp(join(tmpdir(), 'build-'));
  // Modules, and files of src that are served, are looked for from where the code lies.
  for (const name of ['node_modules', 'package.json', 'src', 'web'])
    await symlink(join(ROOT, name), join(folder, name));
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  const output = ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')];
  await promisify(execFile)(process.execPath, [compiler, ...output]);
  return { main: join(folder, 'dist/main.js'), remove: () => rm(folder, { recursive: true }) };
}

/** A server that runs as in production: a process of its own, which can be killed. */
export class ServerProcess {
  readonly pid: number;
  readonly client: ReturnType<typeof clientOf>;
  /** NaN when that is off. */
  readonly gatewayPort: number;
  readonly #exited: Promise<unknown>;

  private constructor(
    private readonly child: ChildProcess,
    /** What it has written, by lines. */
    readonly output: readonly string[],
  ) {
    this.pid = child.pid as number;
    this.client = clientOf(portIn(output, /^ +GraphiQL +http:\/\/localhost:(\d+)\//));
    this.gatewayPort = portIn(output, /^ +PostgreSQL +\S+:(\d+) /);
    this.#exited = exitOf(child);
  }

  /** Resolves when it listens. */
  static async start(build: Build, env: Record<string, string>): Promise<ServerProcess> {
    const child = spawn(process.execPath, [build.main], {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, DOCKER_HOST: process.env.DOCKER_HOST, PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output: string[] = [];
    const listening = new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          output.push(line);
          // The line after all addresses.
          if (/^ +Access +/.test(line)) resolve();
        });
      }
      child.once('close', () => reject(new Error(`the server did not start:\n${output.join('\n')}`)));
      setTimeout(() => reject(new Error('the server does not start')), START_MS).unref();
    });
    try {
      await listening;
      return new ServerProcess(child, output);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  /** As the kernel or an impatient operator does it: nothing of the server runs after this. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.#exited;
  }

  async shutDown(): Promise<void> {
    this.child.kill('SIGTERM');
    await this.#exited;
  }
}

function portIn(output: readonly string[], line: RegExp): number {
  return Number(output.map((each) => line.exec(each)?.[1]).find(Boolean));
}

async function exitOf(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}
