import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const INTERVAL_MS = 50;

/** How much memory a process has, and has had at most. */
export class MemoryWatch {
  #most = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly pid: number) {}

  /** Resolves with the bytes at present. */
  async begin(): Promise<number> {
    const bytes = await residentBytes(this.pid);
    this.#most = bytes;
    this.#timer = setInterval(() => void this.#look(), INTERVAL_MS);
    return bytes;
  }

  /** Resolves with the most bytes since `begin`. */
  async end(): Promise<number> {
    this.stop();
    await this.#look();
    return this.#most;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** A process that is gone is noticed elsewhere. */
  async #look(): Promise<void> {
    this.#most = Math.max(this.#most, await residentBytes(this.pid).catch(() => 0));
  }
}

export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const inStatus = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return Number(inStatus ?? (await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)])).stdout) * 1024;
}
