import type { Readable } from 'node:stream';
import pg from 'pg';
import type { Logger } from 'pino';
import type { Chat } from '../domain/chat.js';
import { messageOf, ReplichatError } from '../domain/errors.js';
import { hasEnded, next, type ReplicationEvent, type ReplicationStatus, type RestoreIssue } from '../domain/replica.js';
import type { ReplicaEngine, ReplicaServer, ServerStop } from '../ports.js';
import { clientConfig } from '../postgres/connect.js';
import {
  createAllowedExtension,
  createMissingRole,
  createTenant,
  sealTenant,
  type Tenant,
} from '../postgres/tenant.js';
import { RestoreFailure, restore } from '../restore/restore.js';
import { diskIssue, watchDisk } from './disk.js';

/** A dump on its way in. */
export interface DumpUpload {
  /** Its first bytes, already read to see what it is. */
  readonly head: Buffer;
  /** Everything after them; destroyed when the replication ends early. */
  readonly rest: Readable;
  /** About how long the whole is. */
  readonly expectedBytes?: number;
  /** Of the server that the dump came from, when its header says so. */
  readonly majorVersion?: number | undefined;
}

export interface ReplicationOptions {
  readonly onError: 'STOP' | 'CONTINUE';
  /** The replica's disk, for all databases, temporary files and the write-ahead log. */
  readonly diskBytes: number;
  readonly timeoutMs: number;
}

/** A server with a restored database in it. */
export interface RestoredServer {
  readonly server: ReplicaServer;
  readonly tenant: Tenant;
}

/** Why a replication was ended from outside; the reason of its AbortSignal. */
export class ReplicationStopped extends Error {
  override readonly name = 'ReplicationStopped';

  constructor(
    readonly event: 'failed' | 'cancelled',
    readonly issue: RestoreIssue,
  ) {
    super(issue.message);
  }
}

const EVENT_INTERVAL_MS = 200;

/** One dump becoming one replica: from QUEUED to READY, FAILED or CANCELLED. */
export class Replication {
  #status: ReplicationStatus;
  #publishing: Promise<void> = Promise.resolve();
  #throttle: NodeJS.Timeout | undefined;

  constructor(
    status: ReplicationStatus,
    /** Aborted with ReplicationStopped as its reason, it ends the replication. */
    private readonly controller: AbortController,
    /** Saves, then publishes. */
    private readonly announce: (status: ReplicationStatus) => Promise<void>,
    private readonly logger: Logger,
  ) {
    this.#status = status;
  }

  get status(): ReplicationStatus {
    return this.#status;
  }

  /**
   * When the server is restored, `keep` takes it over, and `status` is READY. When the replication ends otherwise,
   * nothing is left of it. Never rejects.
   */
  async run(
    chat: Chat,
    upload: DumpUpload,
    engine: ReplicaEngine,
    options: ReplicationOptions,
    keep: (restored: RestoredServer) => Promise<void>,
  ): Promise<void> {
    const { signal } = this.controller;
    const deadline = setTimeout(() => this.controller.abort(tooSlow(options.timeoutMs)), options.timeoutMs);
    let server: ReplicaServer | undefined;
    // Without its upload and its server, everything that a replication waits for ends.
    const stop = () => {
      upload.rest.destroy();
      if (server) this.#dispose(server);
    };
    signal.addEventListener('abort', stop, { once: true });
    try {
      signal.throwIfAborted();
      await this.#announceNow({ type: 'starting' });
      server = await engine.provision({
        chatId: chat.id,
        majorVersion: upload.majorVersion,
        signal,
        onProgress: (activity) => this.#update({ type: 'starting', activity }),
      });
      const tenant = await this.#restoreInto(server, chat, upload, options);
      signal.throwIfAborted();
      signal.removeEventListener('abort', stop);
      await keep({ server, tenant });
      await this.#announceNow({ type: 'ready' });
    } catch (error) {
      upload.rest.destroy();
      const ending = await this.#ending(error, server);
      if (server) await this.#dispose(server);
      await this.#announceNow(ending);
    } finally {
      clearTimeout(deadline);
      clearTimeout(this.#throttle);
      signal.removeEventListener('abort', stop);
    }
  }

  /** What cannot be removed now, the reaper removes. */
  #dispose(server: ReplicaServer): Promise<void> {
    return server
      .dispose()
      .catch((error) => this.logger.error({ err: error, server: server.id }, 'a server could not be removed'));
  }

  async #restoreInto(
    server: ReplicaServer,
    chat: Chat,
    upload: DumpUpload,
    options: ReplicationOptions,
  ): Promise<Tenant> {
    const { signal } = this.controller;
    signal.throwIfAborted();
    const tenant = await createTenant(server, { user: chat.user, database: chat.database });
    const session = new pg.Client({ ...clientConfig(server, tenant), application_name: 'replichat restore' });
    session.on('error', (error) => this.logger.debug({ err: error }, 'the session of the restore broke'));
    const watching = new AbortController();
    watchDisk(server, options.diskBytes, watching.signal, () => this.controller.abort(diskFull(options.diskBytes)));
    try {
      await session.connect();
      await this.#compareVersions(session, upload.majorVersion);
      await restore(
        this.#counted(upload),
        {
          session,
          createRole: (name) => createMissingRole(server, tenant, name),
          createExtension: (name, schema) => createAllowedExtension(server, tenant, name, schema),
        },
        {
          onError: options.onError,
          expectedBytes: upload.expectedBytes,
          signal,
          onProgress: (progress) => this.#update({ type: 'restoring', progress }),
          onWarning: (issue) => this.#update({ type: 'warning', issue }),
        },
      );
      await this.#analyze(session);
      await session.end();
      signal.throwIfAborted();
      await sealTenant(server, tenant);
      return tenant;
    } finally {
      watching.abort();
      session.connection.stream.destroy();
    }
  }

  async #compareVersions(session: pg.Client, source: number | undefined): Promise<void> {
    const { rows } = await session.query<{ major: number }>(
      `SELECT current_setting('server_version_num')::int / 10000 AS major`,
    );
    const major = rows[0]?.major ?? 0;
    if (source === undefined || source <= major) return;
    const issue: RestoreIssue = {
      code: 'NEWER_SOURCE',
      message: `the dump comes from PostgreSQL ${source}, the replica is PostgreSQL ${major}: what is new since may fail`,
      hint: 'Engine docker takes the major version of the dump when REPLICA_IMAGE contains {major}.',
    };
    this.#update({ type: 'warning', issue });
  }

  /** The planner's statistics, which are no part of a dump. An index's own function may fail here. */
  async #analyze(session: pg.Client): Promise<void> {
    await session.query('RESET ALL; RESET ROLE');
    await session.query('ANALYZE').catch((error) => {
      const message = `the planner's statistics could not be collected: ${messageOf(error)}`;
      this.#update({ type: 'warning', issue: { code: 'ANALYZE_FAILED', message } });
    });
  }

  async *#counted({ head, rest }: DumpUpload): AsyncGenerator<Buffer> {
    let bytes = head.length;
    this.#update({ type: 'received', bytes, total: null });
    yield head;
    try {
      for await (const chunk of rest) {
        bytes += chunk.length;
        this.#update({ type: 'received', bytes, total: null });
        yield chunk;
      }
    } catch (error) {
      const code = error instanceof ReplichatError ? error.code : 'UPLOAD_ABORTED';
      throw new RestoreFailure({ code, message: messageOf(error) }, { cause: error });
    }
    this.#update({ type: 'received', bytes, total: bytes });
  }

  async #ending(error: unknown, server: ReplicaServer | undefined): Promise<ReplicationEvent> {
    const { aborted, reason } = this.controller.signal;
    if (aborted && reason instanceof ReplicationStopped) return { type: reason.event, error: reason.issue };
    if (error instanceof RestoreFailure && error.issue.code !== 'CONNECTION_LOST') {
      return { type: 'failed', error: error.issue };
    }
    if (error instanceof ReplichatError) return { type: 'failed', error: { code: error.code, message: error.message } };
    const fault = await server?.fault().catch(() => undefined);
    if (fault && fault.reason !== 'DISPOSED') return { type: 'failed', error: issueOfFault(fault) };
    if (error instanceof RestoreFailure) return { type: 'failed', error: error.issue };
    this.logger.error({ err: error }, 'replication failed');
    return {
      type: 'failed',
      error: { code: 'INTERNAL_SERVER_ERROR', message: 'the server failed; its log says why' },
    };
  }

  /** A new state or step is told at once, mere progress at most every EVENT_INTERVAL_MS. */
  #update(event: ReplicationEvent): void {
    if (hasEnded(this.#status.state)) return;
    const before = this.#status;
    this.#status = next(before, event, new Date());
    if (this.#status.state !== before.state || this.#status.step !== before.step) this.#publish();
    else this.#throttle ??= setTimeout(() => this.#publish(), EVENT_INTERVAL_MS);
  }

  async #announceNow(event: ReplicationEvent): Promise<void> {
    this.#status = next(this.#status, event, new Date());
    this.#publish();
    await this.#publishing;
  }

  #publish(): void {
    clearTimeout(this.#throttle);
    this.#throttle = undefined;
    const status = this.#status;
    this.#publishing = this.#publishing
      .then(() => this.announce(status))
      .catch((error) => this.logger.error({ err: error }, `a status could not be saved: ${messageOf(error)}`));
  }
}

function tooSlow(timeoutMs: number): ReplicationStopped {
  return new ReplicationStopped('failed', {
    code: 'RESTORE_TIMEOUT',
    message: `the restore was stopped after ${Math.round(timeoutMs / 1000)} s`,
    hint: 'Raise RESTORE_TIMEOUT, or see whether a statement of the file never ends.',
  });
}

function diskFull(limit: number): ReplicationStopped {
  return new ReplicationStopped('failed', diskIssue(limit));
}

function issueOfFault(fault: ServerStop): RestoreIssue {
  return { code: fault.reason === 'OUT_OF_MEMORY' ? 'OUT_OF_MEMORY' : 'SERVER_STOPPED', message: fault.message };
}
