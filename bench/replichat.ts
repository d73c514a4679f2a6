import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type Dockerode from 'dockerode';
import { VARIABLES } from '../src/config/variables.js';
import { LABEL } from '../src/engines/docker-container.js';
import { presenceFolder } from '../src/engines/presence.js';
import { clientConfig } from '../src/postgres/connect.js';
import type { Answer } from '../test/support/app.js';
import { ServerProcess } from '../test/support/server-process.js';
import { ApiProbe } from './api-probe.js';
import { CONTENTS, type DataSet } from './dataset.js';
import { BenchError } from './errors.js';
import { removeLabelled } from './lab.js';
import { MemoryWatch, residentBytes } from './memory-watch.js';
import { etaError, percentDeviation } from './progress.js';
import { measureQueries, type QueryResults, queriesScript } from './queries.js';
import { containerOf, Road } from './road.js';
import { upload } from './upload.js';

export interface ReplichatOptions {
  docker: Dockerode;
  image: string;
  /** The built server. */
  main: string;
  /** Of its own, for its temporary files; its containers are known by it. */
  folder: string;
}

/** What is known of one restore beside its seconds. */
export interface ReplichatFacts {
  /** Of the container's processes, from its start to READY. */
  readonly cpuSeconds: number;
  /** Milliseconds of each of the small queries during the restore. */
  readonly latencies: readonly number[];
  /** Resident bytes of the server's process when it had nothing to do yet, and the most until READY. */
  readonly idleBytes: number;
  readonly mostBytes: number;
  readonly statusEvents: number;
  /** See progress.ts. */
  readonly percentDeviation: number | undefined;
  readonly etaError: number | undefined;
  /** Of the first statement that writes: it waits for the copy that a reset goes back to. */
  readonly firstWriteSeconds: number;
  /** Of resetReplica after it. */
  readonly resetSeconds: number;
}

const PROBE = { query: '{ chats(first: 1) { totalCount } }', intervalMs: 100 };
const SETTLE_MS = 1_000;
const SHUTDOWN_MS = 30_000;
const QUERY_MS = 600_000;
const CHAT = { name: 'Benchmark', user: 'shopkeeper', database: 'shop' };
const WRITE = 'CREATE SCHEMA written_before_the_reset CREATE TABLE written (id integer)';

const WATCH = `subscription ($chatId: ID!) {
  replicationStatus(chatId: $chatId) { state percent etaSeconds error { message line hint } }
}`;
const RUN = 'mutation ($input: RunQueryInput!) { runQuery(input: $input) { rows } }';
const RESET = 'mutation ($chatId: ID!) { resetReplica(chatId: $chatId) { chatId } }';
const CREDENTIALS = 'query ($chatId: ID!) { credentials(chatId: $chatId, target: REPLICA) { user password database } }';
const DELETE = 'mutation ($chatId: ID!) { deleteChat(id: $chatId) }';

type Dump = Pick<DataSet, 'plain' | 'plainBytes'>;

interface Status {
  readonly state: string;
  readonly percent: number;
  readonly etaSeconds: number | null;
  readonly error: { message: string; line: number | null; hint: string | null } | null;
}

/** By performance.now(). */
type Heard = Status & { readonly heardAt: number };

/** The server as its users run it, in a process of its own. */
export class Replichat {
  #idleBytes: number | undefined;

  private constructor(
    private readonly options: ReplichatOptions,
    private readonly server: ServerProcess,
  ) {}

  static async start(options: ReplichatOptions): Promise<Replichat> {
    await mkdir(options.folder, { recursive: true });
    const server = await ServerProcess.start(
      { main: options.main, remove: async () => {} },
      {
        ...settingsOfTheCaller(),
        HOST: '127.0.0.1',
        PORT: '0',
        TMPDIR: options.folder,
        REPLICA_ENGINE: 'docker',
        REPLICA_IMAGE: options.image,
        LOG_LEVEL: 'warn',
      },
    );
    return new Replichat(options, server);
  }

  /**
   * The first restore of a process loads and compiles what the others find: neither its time nor its memory is typical.
   * What the process has after it is what later restores are compared with, however much they leave behind.
   */
  async warmUp(dump: Dump): Promise<void> {
    await this.restore(dump);
    await sleep(SETTLE_MS);
    this.#idleBytes = await residentBytes(this.server.pid);
  }

  /** Uploads it, waits for READY, looks at the replica, resets it, and removes it. */
  async restore(data: Dump): Promise<{ seconds: number; contents: string; facts: ReplichatFacts }> {
    const chatId = await this.server.client.createChat(CHAT);
    const { seconds, ...watched } = await this.#watchedRestore(chatId, data);
    const cpuSeconds = await this.#cpuSeconds(chatId);
    const contents = await this.#contents(chatId);
    const firstWriteSeconds = await this.#write(chatId);
    const resetSeconds = await this.#reset(chatId, contents);
    await this.#ask(DELETE, { chatId });
    return { seconds, contents, facts: { ...watched, cpuSeconds, firstWriteSeconds, resetSeconds } };
  }

  /** On a replica of its own. */
  async queries(): Promise<QueryResults> {
    const { docker, folder } = this.options;
    const chatId = await this.server.client.createChat(CHAT);
    const script = join(folder, 'queries.sql');
    await writeFile(script, queriesScript());
    const [events] = await Promise.all([
      this.#watch(chatId),
      upload(this.server.client.url, chatId, script, (await stat(script)).size),
    ]);
    if (events.at(-1)?.state !== 'READY') throw new BenchError(`Replichat made no replica: ${reasonOf(events.at(-1))}`);
    const { credentials } = await this.#ask(CREDENTIALS, { chatId });
    const login = { ...credentials, user: credentials.user.replace(`.${chatId}`, '') };
    const road = await Road.to(docker, chatId);
    try {
      return await measureQueries(this.server.client.url, chatId, clientConfig(road, login));
    } finally {
      await road.close();
      await this.#ask(DELETE, { chatId });
    }
  }

  async #watchedRestore(chatId: string, { plain, plainBytes }: Dump) {
    const probe = new ApiProbe({ url: this.server.client.url, ...PROBE });
    const memory = new MemoryWatch(this.server.pid);
    try {
      const watching = this.#watch(chatId);
      watching.catch(() => {});
      await Promise.race([sleep(SETTLE_MS), probe.failed]);
      const presentBytes = await memory.begin();
      probe.begin();
      const begin = performance.now();
      const uploading = upload(this.server.client.url, chatId, plain, plainBytes);
      const [events] = await Promise.race([Promise.all([watching, uploading]), probe.failed]);
      const [mostBytes, latencies] = await Promise.all([memory.end(), probe.end()]);
      const ready = events.at(-1);
      if (ready?.state !== 'READY') throw new BenchError(`Replichat did not restore ${plain}: ${reasonOf(ready)}`);
      const seconds = (ready.heardAt - begin) / 1000;
      const told = events.slice(0, -1).map((event) => ({ ...event, at: (event.heardAt - begin) / 1000 }));
      return {
        seconds,
        latencies,
        idleBytes: this.#idleBytes ?? presentBytes,
        mostBytes,
        statusEvents: events.length,
        percentDeviation: percentDeviation(told, seconds),
        etaError: etaError(told, seconds),
      };
    } finally {
      memory.stop();
      await probe.stop();
    }
  }

  /** Everything that a subscriber hears until the subscription completes. */
  async #watch(chatId: string): Promise<Heard[]> {
    const events: Heard[] = [];
    for await (const { data } of this.server.client.subscribe(WATCH, { chatId })) {
      const { replicationStatus } = data as { replicationStatus: Status };
      events.push({ ...replicationStatus, heardAt: performance.now() });
    }
    return events;
  }

  async #cpuSeconds(chatId: string): Promise<number> {
    const container = await containerOf(this.options.docker, chatId);
    const { cpu_stats } = await container.stats({ stream: false, 'one-shot': true });
    return cpu_stats.cpu_usage.total_usage / 1e9;
  }

  async #contents(chatId: string): Promise<string> {
    const input = { chatId, sql: CONTENTS, record: false, timeoutMs: QUERY_MS };
    const { runQuery } = await this.#ask(RUN, { input });
    return runQuery.rows[0].contents;
  }

  /** Resolves with the seconds that it took; so does `#reset`. */
  async #write(chatId: string): Promise<number> {
    const begin = performance.now();
    await this.#ask(RUN, { input: { chatId, sql: WRITE, access: 'READ_WRITE', record: false } });
    return (performance.now() - begin) / 1000;
  }

  async #reset(chatId: string, contents: string): Promise<number> {
    const begin = performance.now();
    await this.#ask(RESET, { chatId });
    const seconds = (performance.now() - begin) / 1000;
    const afterwards = await this.#contents(chatId);
    if (afterwards !== contents) throw new BenchError(`there were ${contents}, and ${afterwards} after resetReplica`);
    return seconds;
  }

  async #ask(query: string, variables: Record<string, unknown>): Promise<Answer['data']> {
    const { data, errors } = await this.server.client.graphql(query, variables);
    if (errors) throw new BenchError(`Replichat answered: ${errors[0]?.message}`);
    return data;
  }

  /** Whatever has become of the server, nothing is left of it. */
  async close(): Promise<void> {
    const { docker, folder } = this.options;
    const stopped = await Promise.race([
      this.server.shutDown().then(() => true),
      sleep(SHUTDOWN_MS, false, { ref: false }),
    ]);
    if (!stopped) await this.server.kill();
    await removeLabelled(docker, `${LABEL.presence}=${presenceFolder(folder)}`);
  }
}

/** The variables that configure a server are meant for this one, too. */
function settingsOfTheCaller(): Record<string, string> {
  const known = ([name, value]: [string, string | undefined]) =>
    value !== undefined && (name in VARIABLES || name.startsWith('DOCKER_'));
  return Object.fromEntries(Object.entries(process.env).filter(known)) as Record<string, string>;
}

function reasonOf(last: Status | undefined): string {
  if (!last?.error) return `it is ${last?.state ?? 'silent'}`;
  const { message, line, hint } = last.error;
  return `${message}${line === null ? '' : `, line ${line}`}${hint === null ? '' : `. ${hint}`}`;
}
