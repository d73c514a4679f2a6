import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** The command lines of all processes of this machine. */
export async function runningProcesses(): Promise<string[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'args='], { maxBuffer: 10_000_000 });
  return stdout.split('\n');
}
