import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { messageOf } from '../../src/domain/errors.js';
import type { RestoreIssue, RestoreProgress } from '../../src/domain/replica.js';
import type { ReplicaServer } from '../../src/ports.js';
import { clientConfig } from '../../src/postgres/connect.js';
import {
  Admin,
  createAllowedExtension,
  createMissingRole,
  createTenant,
  isAllowedExtension,
  type Tenant,
} from '../../src/postgres/tenant.js';
import { RestoreFailure } from '../../src/restore/issues.js';
import { type RestoreTarget, restore } from '../../src/restore/restore.js';
import { renewFresh } from '../support/fresh.js';
import { cut } from './lexing.js';

export interface RestoreVerdict {
  /** "restored", or the code of the issue. */
  readonly outcome: string;
  readonly complaint?: string | undefined;
}

export interface RestoreRun {
  readonly onError: 'STOP' | 'CONTINUE';
  readonly sizes: readonly number[];
}

const DEADLINE_MS = 20_000;
const ANSWER_MS = 5_000;
/** Codes by which the file is to blame, at a line. */
const OF_THE_FILE = new Set(['SQL_ERROR', 'CUT_OFF', 'UNSUPPORTED_DUMP', 'ROLE_NOT_CREATED']);
/** `SET idle_in_transaction_session_timeout = 0` stands in every dump, and numbers are mutated. */
const ENDED_BY_THE_DUMP = /terminating connection due to .*timeout/;

class Complaint extends Error {}

interface Connected {
  readonly target: RestoreTarget;
  /** Cuts its sessions off. */
  end(): void;
}

/** What `restore` is given. */
function targetOf(server: ReplicaServer, admin: Admin, tenant: Tenant, onRole: (name: string) => void): Connected {
  const streams = new Set<Duplex>();
  const open = async () => {
    const stream = await server.open();
    streams.add(stream);
    return stream;
  };
  return {
    target: {
      login: clientConfig({ open }, tenant),
      cpus: 2,
      major: admin.major,
      createRole(name) {
        onRole(name);
        return createMissingRole(admin, tenant, name);
      },
      createsExtension: isAllowedExtension,
      createExtension: (name, schema) => createAllowedExtension(server, tenant, name, schema),
    },
    end() {
      for (const stream of streams) stream.destroy();
    },
  };
}

/** Restores into databases of one server, which must survive it all. */
export class Restores {
  #database = 0;

  private constructor(
    private readonly server: ReplicaServer,
    private readonly administrator: Admin,
  ) {}

  private get admin(): pg.Client {
    return this.administrator.client;
  }

  static async on(server: ReplicaServer): Promise<Restores> {
    return new Restores(server, await Admin.connect(server));
  }

  close(): Promise<void> {
    return this.administrator.end();
  }

  /** Rejects only when the server is of no further use. */
  async judge(file: Buffer, run: RestoreRun): Promise<RestoreVerdict> {
    this.#database++;
    const names = { user: `u${this.#database}`, database: `d${this.#database}` };
    await renewFresh(this.administrator);
    const tenant = await createTenant(this.administrator, this.server, names);
    const roles = [tenant.user];
    try {
      const connected = targetOf(this.server, this.administrator, tenant, (name) => roles.push(name));
      try {
        return { outcome: await this.#restored(file, run, tenant, connected) };
      } finally {
        connected.end();
        await this.#gone(tenant);
      }
    } catch (error) {
      if (!(error instanceof Complaint)) throw error;
      return { outcome: 'complaint', complaint: error.message };
    } finally {
      await this.#drop(tenant, roles);
    }
  }

  async #restored(file: Buffer, { onError, sizes }: RestoreRun, tenant: Tenant, to: Connected): Promise<string> {
    const lines = file.toString('latin1').split('\n').length;
    const controller = new AbortController();
    const problems: string[] = [];
    const note = (problem: string | undefined) => problem && problems.push(problem);
    const ended = restore(chunks(file, sizes), Promise.resolve(to.target), {
      onError,
      spoolBytes: 64 * 1024 * 1024,
      readShare: () => undefined,
      signal: controller.signal,
      onProgress: watchProgress(note),
      onWarning: (_index, issue) => note(problemOf(issue, lines, 'warning')),
    }).then(
      () => 'restored',
      (error) => outcomeOf(error, lines),
    );
    const outcome = await within(DEADLINE_MS, ended);
    if (outcome === undefined) return this.#late(tenant, to, ended, controller);
    if (problems[0]) throw new Complaint(problems[0]);
    return outcome;
  }

  /** Ends it as the service would, and tells a server at work from a restore that waits for nothing. */
  async #late(tenant: Tenant, to: Connected, ended: Promise<unknown>, controller: AbortController): Promise<string> {
    const atWork = await this.#atWork(tenant);
    controller.abort(new Error('aborted by the fuzz'));
    to.end();
    const settled = ended.then(
      () => true,
      () => true,
    );
    await within(ANSWER_MS, settled, 'an aborted restore does not end');
    if (!atWork) throw new Complaint(`the restore hangs: nothing after ${DEADLINE_MS} ms, and the server is idle`);
    return 'slow';
  }

  /** A statement of the dump that takes long is nobody's fault; sessions that wait for us or for each other are. */
  async #atWork({ database }: Tenant): Promise<boolean> {
    const { rowCount } = await this.admin.query(
      `SELECT FROM pg_stat_activity WHERE datname = $1 AND state = 'active' 
         AND coalesce(wait_event_type, '') NOT IN ('Client', 'Lock')`,
      [database],
    );
    return rowCount !== 0;
  }

  /** Also shows that the server still answers. */
  async #gone({ database }: Tenant): Promise<void> {
    for (let left = 1, end = Date.now() + ANSWER_MS; left > 0; await sleep(2)) {
      const { rows } = await this.admin.query('SELECT FROM pg_stat_activity WHERE datname = $1 AND backend_type = $2', [
        database,
        'client backend',
      ]);
      left = rows.length;
      if (left > 0 && Date.now() > end) throw new Complaint(`${left} sessions are left of a restore that has ended`);
    }
  }

  async #drop(tenant: Tenant, roles: readonly string[]): Promise<void> {
    await this.admin.query(`ALTER DATABASE ${tenant.database} IS_TEMPLATE false`);
    await this.admin.query(`DROP DATABASE ${tenant.database} WITH (FORCE)`);
    const known = roles.map((role) => pg.escapeIdentifier(role)).join(', ');
    await this.admin.query(`REVOKE SET ON PARAMETER session_replication_role FROM ${tenant.user}`);
    await this.admin.query(`DROP ROLE IF EXISTS ${known}`);
  }
}

async function* chunks(file: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  yield* cut(file, sizes);
}

function outcomeOf(error: unknown, lines: number): string {
  if (!(error instanceof RestoreFailure)) throw new Complaint(`the restore threw ${(error as Error).stack ?? error}`);
  const { issue } = error;
  if (ENDED_BY_THE_DUMP.test(issue.message)) return 'ended by a timeout that the dump sets';
  if (issue.code === 'CONNECTION_LOST') throw new Complaint(`${issue.message} (line ${issue.line})`);
  const problem = problemOf(issue, lines, 'failure');
  if (problem) throw new Complaint(problem);
  return issue.code;
}

function problemOf(issue: RestoreIssue, lines: number, what: string): string | undefined {
  const said = `${what} ${JSON.stringify(issue)}`;
  if (!/^[A-Z_]+$/.test(issue.code) || issue.message.trim() === '') return `without a code or a message: ${said}`;
  if (issue.line === undefined) return OF_THE_FILE.has(issue.code) ? `without a line: ${said}` : undefined;
  // Rows that are cut off before they begin would begin on the line after the last.
  const last = lines + (issue.code === 'CUT_OFF' ? 1 : 0);
  const inFile = Number.isInteger(issue.line) && issue.line >= 1 && issue.line <= last;
  return inFile ? undefined : `with a line outside of the file's ${lines}: ${said}`;
}

/** Counts only ever rise (RestoreProgress). */
function watchProgress(note: (problem: string) => void): (progress: RestoreProgress) => void {
  let last: RestoreProgress | undefined;
  return (progress) => {
    const { remainingSeconds } = progress;
    if (!(remainingSeconds >= 0 && remainingSeconds < 1e6)) note(`${remainingSeconds} seconds are left`);
    for (const count of ['bytesRestored', 'tablesDone', 'tablesTotal', 'indexesDone', 'indexesTotal'] as const) {
      if (last && progress[count] < last[count]) note(`${count} falls from ${last[count]} to ${progress[count]}`);
    }
    last = progress;
  };
}

async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined>;
async function within<T>(ms: number, work: Promise<T>, otherwise: string): Promise<T>;
async function within<T>(ms: number, work: Promise<T>, otherwise?: string): Promise<T | undefined> {
  const timer = new AbortController();
  const late = sleep(ms, undefined, { signal: timer.signal }).catch(() => undefined);
  try {
    const result = await Promise.race([work.then((value) => ({ value })), late]);
    if (result === undefined && otherwise) throw new Complaint(otherwise);
    return result?.value;
  } catch (error) {
    if (error instanceof Complaint) throw error;
    throw new Complaint(`${otherwise ?? 'the restore failed'}: ${messageOf(error)}`);
  } finally {
    timer.abort();
  }
}
