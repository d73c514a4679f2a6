import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { newId } from '../../src/domain/ids.js';
import { type Binaries, findBinaries } from '../../src/engines/embedded-binaries.js';
import { eventually } from './eventually.js';
import { ownPort } from './ports.js';

export const KEYS = `k1:${Buffer.alloc(32, 1).toString('base64')}`;

/** A PostgreSQL on a TCP port, for the server's own data. It can be stopped and started again. */
export class TestDatabase {
  #child: ChildProcess | undefined;

  private constructor(
    private readonly folder: string,
    private readonly binaries: Binaries,
    private readonly port: number,
    private readonly settings: readonly string[],
  ) {}

  /** `settings` as on the command line of postgres: what is not durable is quicker. */
  static async start(settings: readonly string[] = ['fsync=off']): Promise<TestDatabase> {
    const folder = await mkdtemp(join(tmpdir(), 'database-'));
    const binaries = await findBinaries(join(folder, 'binaries'));
    const database = new TestDatabase(folder, binaries, await ownPort(), settings);
    await database.#initdb();
    await database.resume();
    return database;
  }

  /** Of a database of its own, empty. */
  async createDatabase(): Promise<string> {
    const name = `d${newId()}`;
    const client = new pg.Client(this.#url('postgres'));
    await client.connect();
    await client.query(`CREATE DATABASE ${name}`);
    await client.end();
    return this.#url(name);
  }

  #url(name: string): string {
    return `postgres://owner@127.0.0.1:${this.port}/${name}`;
  }

  async #initdb(): Promise<void> {
    const { account, initdb } = this.binaries;
    const data = join(this.folder, 'data');
    await mkdir(data, { mode: 0o700 });
    if (account) {
      await chown(this.folder, account.uid, account.gid);
      await chown(data, account.uid, account.gid);
    }
    const child = spawn(initdb, ['-D', data, '-U', 'owner', '-A', 'trust', '-E', 'UTF8', '--no-sync', '--locale=C'], {
      ...account,
      cwd: '/',
      stdio: 'ignore',
    });
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`initdb ended with ${code}`);
  }

  async resume(): Promise<void> {
    const settings = [`port=${this.port}`, 'unix_socket_directories=', 'listen_addresses=127.0.0.1', ...this.settings];
    const child = spawn(
      this.binaries.postgres,
      ['-D', join(this.folder, 'data'), ...settings.flatMap((s) => ['-c', s])],
      {
        ...this.binaries.account,
        cwd: '/',
        stdio: 'ignore',
      },
    );
    this.#child = child;
    await eventually('the database answers', async () => {
      if (child.exitCode !== null) throw new Error(`postgres ended with ${child.exitCode}`);
      const client = new pg.Client(this.#url('postgres'));
      client.on('error', () => {});
      const answers = await client.connect().then(
        () => true,
        () => false,
      );
      await client.end().catch(() => {});
      return answers;
    });
  }

  /** As an operator restarts it: sessions are ended with 57P01. `SIGQUIT` ends it without a word. */
  async suspend(signal: 'SIGINT' | 'SIGQUIT' = 'SIGINT'): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  async remove(): Promise<void> {
    await this.suspend('SIGQUIT');
    await rm(this.folder, { recursive: true, force: true });
  }
}
