import { readdir } from 'node:fs/promises';
import type Dockerode from 'dockerode';
import { presenceFolder } from '../../src/engines/presence.js';
import { runningProcesses } from '../support/processes.js';

/**
 * What servers whose temp folder is this one have left or are using: files, processes, containers and volumes. Looked
 * at from time to time while a server lives, it also knows what that one had.
 */
export class Remains {
  readonly #instances = new Set<string>();
  readonly #volumes = new Set<string>();

  constructor(
    private readonly tempFolder: string,
    private readonly docker?: Dockerode,
  ) {}

  async look(): Promise<string[]> {
    const files = await readdir(this.tempFolder);
    for (const file of files) this.#noteInstance(file);
    const containers = this.docker ? await this.#containers(this.docker) : [];
    const processes = (await runningProcesses()).filter((command) => this.#isTheirs(command));
    return [
      ...files.map((file) => `file ${file}`),
      ...containers.map((name) => `container ${name}`),
      ...(this.docker ? await this.#volumesLeft(this.docker) : []).map((name) => `volume ${name}`),
      ...processes.map((command) => `process ${command.slice(0, 150)}`),
    ];
  }

  #noteInstance(file: string): void {
    const instance = /^replichat-([0-9a-z]{20})/.exec(file)?.[1];
    if (instance) this.#instances.add(instance);
  }

  #isTheirs(command: string): boolean {
    if (!/postgres|initdb/.test(command)) return false;
    return command.includes(`${this.tempFolder}/`) || [...this.#instances].some((name) => command.includes(name));
  }

  async #containers(docker: Dockerode): Promise<string[]> {
    const label = [`replichat.presence=${presenceFolder(this.tempFolder)}`];
    const theirs = await docker.listContainers({ all: true, filters: { label } });
    for (const { Id, Labels } of theirs) {
      this.#instances.add(Labels['replichat.instance'] as string);
      const { Mounts } = await docker
        .getContainer(Id)
        .inspect()
        .catch(() => ({ Mounts: [] as Dockerode.ContainerInspectInfo['Mounts'] }));
      for (const { Name } of Mounts) if (Name) this.#volumes.add(Name);
    }
    return theirs.map(({ Names }) => Names[0] as string);
  }

  async #volumesLeft(docker: Dockerode): Promise<string[]> {
    if (this.#volumes.size === 0) return [];
    const { Volumes } = await docker.listVolumes();
    return Volumes.map(({ Name }) => Name).filter((name) => this.#volumes.has(name));
  }
}
