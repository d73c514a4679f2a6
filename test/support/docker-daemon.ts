import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Dockerode from 'dockerode';
import { eventually } from './eventually.js';
import { mountDisk, mountMemory, unmountAll } from './volumes.js';

const run = promisify(execFile);
const DATA_BYTES = 4 * 2 ** 30;

/** A Docker Engine of a test's own, all of it in memory, that can be stopped, killed and started again. Needs root. */
export class DockerDaemon {
  #child: ChildProcess | undefined;
  readonly host: string;
  readonly docker: Dockerode;

  private constructor(private readonly folder: string) {
    const socketPath = join(folder, 'docker.sock');
    this.host = `unix://${socketPath}`;
    this.docker = new Dockerode({ socketPath });
  }

  /** It has this image. What containers keep in volumes is on a disk of `volumesBytes`, if given. */
  static async start(image: string, volumesBytes?: number): Promise<DockerDaemon> {
    const folder = await mkdtemp(join(tmpdir(), 'dockerd-'));
    const daemon = new DockerDaemon(folder);
    try {
      await mountMemory(daemon.#data, DATA_BYTES);
      if (volumesBytes) await mountDisk(daemon.volumes, volumesBytes);
      await daemon.resume();
      const save = 'docker save "$0" | docker --host "$1" load';
      await run('bash', ['-o', 'pipefail', '-c', save, image, daemon.host]);
      return daemon;
    } catch (error) {
      await daemon.remove();
      throw error;
    }
  }

  get #data(): string {
    return join(this.folder, 'data');
  }

  /** Where containers keep what is in volumes. */
  get volumes(): string {
    return join(this.#data, 'volumes');
  }

  get #runs(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async resume(): Promise<void> {
    const folders = ['--data-root', this.#data, '--exec-root', join(this.folder, 'exec')];
    const files = ['--pidfile', join(this.folder, 'pid'), '--host', this.host];
    // In a network of its own: without a bridge it would remove that of the machine's Engine, docker0.
    const network = ['--bridge=none', '--iptables=false', '--ip-forward=false'];
    const log: string[] = [];
    // It ends with the test, whatever becomes of that.
    const child = spawn(
      'setpriv',
      ['--pdeathsig', 'TERM', 'unshare', '--net', 'dockerd', ...folders, ...files, ...network],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    child.stderr.on('data', (chunk) => log.push(String(chunk)));
    this.#child = child;
    await eventually(
      'dockerd answers',
      async () => {
        if (child.exitCode !== null)
          throw new Error(`dockerd ended with ${child.exitCode}: ${log.join('').slice(-2000)}`);
        return this.docker.ping().then(
          () => true,
          () => false,
        );
      },
      120_000,
      () => log.join('').slice(-2000),
    );
  }

  /** SIGTERM, as an operator stops it: its containers end. With SIGKILL they live until it is started again. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (!child || !this.#runs) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
    // It goes with its daemon, and the next one must not take it for its own.
    const containerd = await readFile(join(this.folder, 'exec/containerd/containerd.pid'), 'utf8').catch(
      () => undefined,
    );
    if (containerd) await eventually('containerd is gone', async () => !isRunning(Number(containerd)));
  }

  async remove(): Promise<void> {
    // Only a daemon ends the containers of one that was killed.
    if (this.#child && !this.#runs) await this.resume().catch(() => {});
    await this.stop();
    await this.#endShims();
    await unmountAll(this.folder);
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Of containers that were being made when their daemon was killed: the next one knows nothing of them. */
  async #endShims(): Promise<void> {
    const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid=,args=']);
    const processes = [...stdout.matchAll(/^ *(\d+) +(\d+) (.*)$/gm)].map(([, pid, ppid, args = '']) => ({
      pid: Number(pid),
      ppid: Number(ppid),
      isShim: args.includes('containerd-shim') && args.includes(`${this.folder}/`),
    }));
    const shims = new Set(processes.filter(({ isShim }) => isShim).map(({ pid }) => pid));
    for (const { pid, ppid } of processes) {
      if (!shims.has(pid) && !shims.has(ppid)) continue;
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
