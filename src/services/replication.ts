import type { Readable } from 'node:stream';
import type { Logger } from 'pino';
import type { Chat } from '../domain/chat.js';
import { messageOf, ReplichatError } from '../domain/errors.js';
import { hasEnded, next, type ReplicationEvent, type ReplicationStatus, type RestoreIssue } from '../domain/replica.js';
import type { ReplicaEngine, ReplicaServer, ServerStop } from '../ports.js';
import { clientConfig } from '../postgres/connect.js';
import {
  Admin,
  createAllowedExtension,
  createMissingRole,
  createTenant,
  isAllowedExtension,
  sealTenant,
  type Tenant,
  type TenantFacts,
} from '../postgres/tenant.js';
import { RestoreFailure } from '../restore/issues.js';
import { type RestoreTarget, restore } from '../restore/restore.js';
import type { DumpVersions } from '../restore/versions.js';
import { diskIssue, watchDisk } from './disk.js';
import { type Inspection, scriptIn } from './dump.js';

/** A dump on its way in, its first bytes already read to see what it is. */
export interface DumpUpload extends Inspection {
  /** Everything after them; destroyed when the replication ends early. */
  readonly rest: Readable;
  /** About how long the whole is. */
  readonly expectedBytes?: number;
}

export interface ReplicationOptions {
  readonly onError: 'STOP' | 'CONTINUE';
  /** The replica's disk, for all databases, temporary files and the write-ahead log. */
  readonly diskBytes: number;
  /** Of the server's own disk, for what has arrived and is not yet restored. */
  readonly spoolBytes: number;
  /** Of the script in a compressed file or an archive. */
  readonly maxUnpackedBytes: number;
  readonly timeoutMs: number;
}

/** A server with a restored database in it. */
export interface RestoredServer {
  readonly server: ReplicaServer;
  readonly tenant: Tenant;
  readonly facts: TenantFacts;
}

/** A server that is being restored into, and the administrator's session there. */
interface Site {
  readonly server: ReplicaServer;
  readonly admin: Admin;
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
    const building = new Building(engine, this.logger);
    // Without its upload and its server, everything that a replication waits for ends.
    const stop = () => {
      upload.rest.destroy();
      building.abandon();
    };
    signal.addEventListener('abort', stop, { once: true });
    try {
      signal.throwIfAborted();
      await this.#announceNow({ type: 'starting' });
      const site = building.begin(chat, newest(upload.versions), (activity) =>
        this.#update({ type: 'starting', activity }),
      );
      await this.#restore(upload, site, options);
      const { server, admin, tenant } = await site;
      const facts = await sealTenant(admin, tenant);
      // Nobody waits for the goodbye.
      admin.end();
      signal.throwIfAborted();
      signal.removeEventListener('abort', stop);
      await keep({ server, tenant, facts });
      await this.#announceNow({ type: 'ready' });
    } catch (error) {
      upload.rest.destroy();
      const ending = await this.#ending(error, building.server);
      await building.abandon();
      await this.#announceNow(ending);
    } finally {
      clearTimeout(deadline);
      clearTimeout(this.#throttle);
      signal.removeEventListener('abort', stop);
    }
  }

  async #restore(upload: DumpUpload, site: Promise<Site>, options: ReplicationOptions): Promise<void> {
    const watching = new AbortController();
    const watch = ({ server }: Site) =>
      watchDisk(server, options.diskBytes, watching.signal, () => this.controller.abort(diskFull(options.diskBytes)));
    site.then(watch).catch(() => {});
    const { signal } = this.controller;
    const server = site.then(({ server }) => server);
    server.catch(() => {});
    const script = scriptIn(this.#counted(upload), upload.wrapping, server, {
      maxBytes: options.maxUnpackedBytes,
      signal,
    });
    try {
      await restore(script, site.then(targetOf), {
        onError: options.onError,
        spoolBytes: options.spoolBytes,
        readShare: () => this.#readShare(upload),
        signal,
        onProgress: (progress) => this.#update({ type: 'restoring', progress }),
        onWarning: (index, issue) => this.#update({ type: 'warning', index, issue }),
      });
    } finally {
      watching.abort();
      // What is still waited for in it ends with the upload and the server.
      script.return().catch(() => {});
    }
  }

  /** A part of the form around the file is among what is expected. */
  #readShare({ expectedBytes }: DumpUpload): number | undefined {
    const { bytesReceived, bytesTotal } = this.#status;
    const total = bytesTotal ?? expectedBytes;
    return total === undefined ? undefined : Math.min(1, bytesReceived / total);
  }

  async *#counted({ head, rest }: DumpUpload): AsyncGenerator<Buffer, void> {
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

/** A server on its way, which goes again when nobody wants it any more. */
class Building {
  readonly #abandoned = new AbortController();
  #site: Promise<Site> | undefined;
  #server: ReplicaServer | undefined;

  constructor(
    private readonly engine: ReplicaEngine,
    private readonly logger: Logger,
  ) {}

  /** As soon as there is one. */
  get server(): ReplicaServer | undefined {
    return this.#server;
  }

  begin(
    { id: chatId, user, database }: Chat,
    majorVersion: number | undefined,
    onProgress: (activity: string) => void,
  ): Promise<Site> {
    const { signal } = this.#abandoned;
    const build = async () => {
      const server = await this.engine.provision({ chatId, majorVersion, signal, onProgress });
      this.#server = server;
      signal.throwIfAborted();
      const admin = await Admin.connect(server);
      return { server, admin, tenant: await createTenant(admin, server, { user, database }) };
    };
    this.#site = build();
    this.#site.catch(() => {});
    return this.#site;
  }

  /** Nothing of it is left; what cannot be removed now, the reaper removes. */
  async abandon(): Promise<void> {
    this.#abandoned.abort(new Error('nobody waits for this server any more'));
    await this.#dispose();
    await this.#site?.catch(() => {});
    await this.#dispose();
  }

  async #dispose(): Promise<void> {
    const server = this.#server;
    await server
      ?.dispose()
      .catch((error) => this.logger.error({ err: error, server: server.id }, 'a server could not be removed'));
  }
}

function targetOf({ server, admin, tenant }: Site): RestoreTarget {
  return {
    login: clientConfig(server, tenant),
    cpus: server.cpus,
    major: admin.major,
    createRole: (name) => createMissingRole(admin, tenant, name),
    createsExtension: isAllowedExtension,
    createExtension: (name, schema) => createAllowedExtension(server, tenant, name, schema),
  };
}

/** A server that has the features of the source, and a pg_restore that can read the archive. */
function newest({ source, archiver }: DumpVersions): number | undefined {
  return source === undefined || archiver === undefined ? (source ?? archiver) : Math.max(source, archiver);
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
  return { code: fault.reason === 'EXITED' ? 'SERVER_STOPPED' : fault.reason, message: fault.message };
}
