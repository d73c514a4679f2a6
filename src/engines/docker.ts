import { hostname } from 'node:os';
import Dockerode from 'dockerode';
import type { Logger } from 'pino';
import { ReplichatError } from '../domain/errors.js';
import { newId } from '../domain/ids.js';
import type { Living, ProvisionRequest, ReplicaEngine, ReplicaServer } from '../ports.js';
import { newAdmin } from '../postgres/boot.js';
import { abortable } from './abortable.js';
import { type ContainerSpec, containerName, containerOptions, INCOMPLETE_IMAGE, LABEL } from './docker-container.js';
import { isUnreachable, reasonOf, statusOf, unavailable, unreachable } from './docker-errors.js';
import { watchEvents } from './docker-events.js';
import { ImageSource } from './docker-image.js';
import { type ConnectMode, DockerServer, removeContainer } from './docker-server.js';
import { Fleet } from './fleet.js';
import { isAlive, presenceFolder, removeStalePresences } from './presence.js';

export interface DockerEngineOptions {
  /** Unique among the servers that share the Docker Engine; 20 characters of [0-9a-z]. */
  instance: string;
  /** Of the servers that share a store: their replicas outlive the one that has made them. */
  store?: string | undefined;
  /** "postgres:{major}", or one image for all. */
  image: string;
  defaultMajor: number;
  memoryBytes: number;
  cpus?: number | undefined;
  connect?: ConnectMode | undefined;
  startTimeoutMs?: number | undefined;
  docker?: Dockerode | undefined;
  logger: Logger;
}

/** The oldest major whose settings the servers are given; a newer server takes an older one's dump. */
const OLDEST_MAJOR = 14;
const PING_TIMEOUT_MS = 5_000;
const CALL_TIMEOUT_MS = 60_000;
const START_TIMEOUT_MS = 60_000;

/** Runs every server in a container of its own that has no network. */
export class DockerEngine implements ReplicaEngine {
  readonly name = 'docker';
  readonly convertsArchives = true;
  readonly description: string;
  readonly #options: DockerEngineOptions;
  readonly #docker: Dockerode;
  readonly #images: ImageSource;
  readonly #fleet: Fleet<DockerServer>;
  readonly attach?: NonNullable<ReplicaEngine['attach']>;
  #watching: Promise<void> | undefined;

  constructor(options: DockerEngineOptions) {
    this.#options = options;
    this.#docker = options.docker ?? new Dockerode();
    this.#images = new ImageSource(this.#docker);
    this.#fleet = new Fleet(options.instance, options.logger);
    if (options.store !== undefined) this.attach = (serverId, admin) => this.#attach(serverId, admin);
    this.description =
      `every replica is a container of ${options.image} on the Docker Engine, with limits and without a network; ` +
      'containers share the kernel of their machine, and the disk space they may fill is not limited by Docker';
  }

  async check(): Promise<void> {
    try {
      await abortable(this.#docker.ping(), AbortSignal.timeout(PING_TIMEOUT_MS));
    } catch (error) {
      throw unreachable(this.#docker, error);
    }
  }

  provision(request: ProvisionRequest): Promise<ReplicaServer> {
    return this.#fleet.run(request.signal, async (signal) => {
      const image = this.serverFor(request.majorVersion);
      try {
        this.#watching ??= this.#watch();
        const volumes = await this.#images.ensure(image, request.onProgress, signal).catch((error) => {
          throw this.#withReason(error, request.majorVersion);
        });
        request.onProgress('starting PostgreSQL');
        return await this.#start({ image, volumes }, request.chatId, await this.#hostCpus(), signal);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof ReplichatError) throw error;
        if (isUnreachable(error)) throw unreachable(this.#docker, error);
        throw unavailable(`the Docker Engine did not start a replica: ${reasonOf(error)}`, error);
      }
    });
  }

  /** The image. */
  serverFor(major: number | undefined): string {
    const served = major === undefined ? this.#options.defaultMajor : Math.max(major, OLDEST_MAJOR);
    return this.#options.image.replaceAll('{major}', String(served));
  }

  /** Who uploads a dump does not know why it takes that image. */
  #withReason(error: unknown, major: number | undefined): unknown {
    const isAskedFor = major !== undefined && this.#options.image.includes('{major}');
    if (!isAskedFor || !(error instanceof ReplichatError)) return error;
    return unavailable(`the dump needs PostgreSQL ${major} or newer, but ${error.message}`, error.cause);
  }

  #cpus: number | undefined;

  async #hostCpus(): Promise<number> {
    this.#cpus ??= ((await this.#docker.info()) as { NCPU: number }).NCPU;
    return this.#cpus;
  }

  #start(
    { image, volumes }: Pick<ContainerSpec, 'image' | 'volumes'>,
    chatId: string | undefined,
    hostCpus: number,
    signal: AbortSignal,
  ): Promise<DockerServer> {
    const { instance, store, memoryBytes, cpus, startTimeoutMs = START_TIMEOUT_MS } = this.#options;
    const admin = newAdmin();
    const name = containerName(chatId, newId());
    const server = this.#server(name, image, admin, hostCpus);
    const { password } = admin;
    const container = containerOptions({ name, image, volumes, instance, store, chatId, password, memoryBytes, cpus });
    const deadline = AbortSignal.timeout(startTimeoutMs);
    return this.#fleet.start(
      server,
      signal,
      () => server.start(container, AbortSignal.any([signal, deadline])),
      (error) => startFailure(server, image, error, deadline),
    );
  }

  #server(name: string, image: string, admin: ReplicaServer['admin'], hostCpus: number): DockerServer {
    const { memoryBytes, cpus, connect = 'auto', startTimeoutMs = START_TIMEOUT_MS } = this.#options;
    return new DockerServer({
      docker: this.#docker,
      name,
      image,
      admin,
      memoryBytes,
      cpus: Math.ceil(cpus ?? hostCpus),
      connect,
      startTimeoutMs,
      onRemoved: () => this.#fleet.forget(name),
    });
  }

  async #attach(serverId: string, admin: ReplicaServer['admin']): Promise<ReplicaServer> {
    return this.#fleet.run(new AbortController().signal, async () => {
      try {
        this.#watching ??= this.#watch();
        const label = [`${LABEL.server}=${serverId}`, `${LABEL.store}=${this.#options.store}`];
        const [container] = await this.#docker.listContainers({
          filters: { label },
          abortSignal: AbortSignal.timeout(CALL_TIMEOUT_MS),
        });
        if (!container) throw new Error(`the container ${serverId} does not run any more`);
        const server = this.#server(serverId, container.Image, admin, await this.#hostCpus());
        return await this.#fleet.adopt(server, () => server.attach(container.Id));
      } catch (error) {
        throw isUnreachable(error) ? unreachable(this.#docker, error) : error;
      }
    });
  }

  #watch(): Promise<void> {
    const handlers = {
      exited: (id: string) => void this.#fleet.get(id)?.noticeExit(),
      outOfMemory: (id: string) => this.#fleet.get(id)?.noticeOutOfMemory(),
      paused: (id: string) => this.#fleet.get(id)?.noticePause(),
      begun: () => {
        for (const server of this.#fleet.all()) void server.noticeExit();
      },
    };
    const { instance, store } = this.#options;
    const label = store === undefined ? `${LABEL.instance}=${instance}` : `${LABEL.store}=${store}`;
    return watchEvents(this.#docker, label, handlers, this.#fleet.closing);
  }

  async reap(whoLives?: () => Promise<Living>): Promise<number> {
    let reaped = 0;
    const containers = await this.#containers();
    this.#noticeExits(containers);
    const volumes = await this.#volumesLeft();
    // Asked after them: whoever has made one of them is known by then.
    const living = await whoLives?.();
    for (const container of containers) {
      if (!(await this.#isOrphan(container.Labels, living, container.State === 'exited'))) continue;
      const facts = { container: container.Names[0], labels: container.Labels };
      this.#options.logger.info(facts, 'removing an orphan');
      try {
        await removeContainer(this.#docker.getContainer(container.Id));
        reaped++;
      } catch (error) {
        this.#options.logger.warn({ ...facts, err: error }, 'an orphan could not be removed');
      }
    }
    for (const volume of volumes) await this.#reapVolume(volume, living);
    await removeStalePresences();
    return reaped;
  }

  /** By containers that are gone without them: a daemon that ends has no time for everything. */
  async #volumesLeft(): Promise<readonly Dockerode.VolumeInspectInfo[]> {
    const filters = { label: [LABEL.instance], dangling: ['true'] };
    try {
      const abortSignal = AbortSignal.timeout(CALL_TIMEOUT_MS);
      return (await this.#docker.listVolumes({ filters, abortSignal })).Volumes ?? [];
    } catch (error) {
      this.#options.logger.warn(`volumes without owner could not be looked for: ${reasonOf(error)}`);
      return [];
    }
  }

  async #reapVolume({ Name, Labels }: Dockerode.VolumeInspectInfo, living: Living | undefined): Promise<void> {
    if (!(await this.#isOrphan(Labels ?? {}, living, false))) return;
    const facts = { volume: Name, labels: Labels };
    this.#options.logger.info(facts, 'removing an orphan');
    await this.#docker
      .getVolume(Name)
      .remove({ abortSignal: AbortSignal.timeout(CALL_TIMEOUT_MS) })
      .catch((error) => this.#options.logger.warn({ ...facts, err: error }, 'an orphan could not be removed'));
  }

  /** Also when the stream of events stands still without an end. */
  #noticeExits(containers: readonly Dockerode.ContainerInfo[]): void {
    const running = containers.filter(({ State }) => State === 'running').map(({ Labels }) => Labels[LABEL.server]);
    for (const server of this.#fleet.all()) if (!running.includes(server.id)) void server.noticeExit();
  }

  async #containers(): Promise<Dockerode.ContainerInfo[]> {
    try {
      return await this.#docker.listContainers({
        all: true,
        filters: { label: [LABEL.instance] },
        abortSignal: AbortSignal.timeout(CALL_TIMEOUT_MS),
      });
    } catch (error) {
      throw isUnreachable(error) ? unreachable(this.#docker, error) : error;
    }
  }

  /**
   * Its instance is gone, or it is ours and unknown: made by a call whose answer was lost. Whether the instance of
   * another temp folder lives cannot be told from here; what has ended by itself is of no use to anybody, though.
   */
  async #isOrphan(labels: Record<string, string>, living: Living | undefined, hasEnded: boolean): Promise<boolean> {
    const instance = labels[LABEL.instance] ?? '';
    const server = labels[LABEL.server] ?? '';
    if (labels[LABEL.store] !== undefined) {
      // What belongs to another store, only its own servers know.
      if (labels[LABEL.store] !== this.#options.store || !living || living.servers.has(server)) return false;
      return instance === this.#options.instance ? !this.#fleet.get(server) : !living.instances.has(instance);
    }
    if (labels[LABEL.host] !== hostname()) return false;
    if (instance === this.#options.instance) return !this.#fleet.get(server);
    if (labels[LABEL.presence] !== presenceFolder()) return hasEnded;
    return !(await isAlive(instance));
  }

  async close(): Promise<void> {
    await this.#fleet.close();
    await this.#watching;
  }
}

const IMAGE_REMEDY =
  'REPLICA_IMAGE needs bash and PostgreSQL in a Debian layout, as the official postgres:17 has (not -alpine)';

async function startFailure(
  server: DockerServer,
  image: string,
  error: unknown,
  deadline: AbortSignal,
): Promise<ReplichatError> {
  const said = reasonOf(error);
  if (statusOf(error) === 400 || /executable file not found|no such file or directory/.test(said)) {
    return unavailable(`the image ${image} cannot be started (${said}): ${IMAGE_REMEDY}`, error);
  }
  const log = await server.lastLogLines().catch(() => '');
  const cause = new Error(`${said}\n${log}`.trim(), { cause: error });
  const stop = await server.fault();
  if (log.includes(INCOMPLETE_IMAGE))
    return unavailable(`the image ${image} has no PostgreSQL: ${IMAGE_REMEDY}`, cause);
  if (stop) return unavailable(`PostgreSQL did not start from ${image}: ${stop.message}`, cause);
  if (deadline.aborted) return unavailable(`PostgreSQL in ${image} did not answer in time`, cause);
  return unavailable(`PostgreSQL did not start from ${image}: ${said}`, cause);
}
