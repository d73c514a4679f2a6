import type { Duplex } from 'node:stream';
import type Dockerode from 'dockerode';
import { openRelay } from '../src/engines/docker-relay.js';
import { SocketFolder } from '../src/engines/docker-socket.js';
import { BenchError } from './errors.js';

/** The way to the PostgreSQL of a replica that the server takes, without the server. */
export class Road {
  private constructor(
    private readonly container: Dockerode.Container,
    private readonly folder: SocketFolder | undefined,
  ) {}

  static async to(docker: Dockerode, chatId: string): Promise<Road> {
    const container = await containerOf(docker, chatId);
    const { Id, State } = await container.inspect();
    const folder =
      process.env.REPLICA_CONNECT === 'exec' ? undefined : await SocketFolder.of({ id: Id, pid: State.Pid });
    return new Road(container, folder);
  }

  async open(): Promise<Duplex> {
    const signal = AbortSignal.timeout(OPEN_MS);
    return this.folder?.connect() ?? openRelay(this.container, { waitMs: 0, signal });
  }

  async close(): Promise<void> {
    await this.folder?.close();
  }
}

const OPEN_MS = 30_000;

export async function containerOf(docker: Dockerode, chatId: string): Promise<Dockerode.Container> {
  const [container] = await docker.listContainers({ filters: { name: [chatId] } });
  if (!container) throw new BenchError('the container of the replica is gone');
  return docker.getContainer(container.Id);
}
