import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** How PostgreSQL titles the processes of a cluster, and what its programs are started as. */
function belongsTo(cluster: string, command: string): boolean {
  if (command.startsWith(`postgres: ${cluster}: `)) return true;
  return /^\S*\/(postgres|initdb) /.test(command) && command.includes(`/${cluster}/`);
}

/** The processes of the server whose `cluster_name` and folder are called that; also what a dead postmaster left. */
export async function processesOf(cluster: string): Promise<number[]> {
  const commands = process.platform === 'linux' ? await commandsFromProc() : await commandsFromPs();
  return commands.filter(([, command]) => belongsTo(cluster, command)).map(([pid]) => pid);
}

/** Not `ps`: slim images have none. */
async function commandsFromProc(): Promise<[number, string][]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const read = async (pid: string): Promise<[number, string]> => {
    const command = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '');
    return [Number(pid), command.replaceAll('\0', ' ')];
  };
  return Promise.all(pids.map(read));
}

async function commandsFromPs(): Promise<[number, string][]> {
  const { stdout } = await run('ps', ['-A', '-ww', '-o', 'pid=,command='], { maxBuffer: 2 ** 26 });
  const lines = stdout.split('\n').map((line) => /^\s*(\d+) (.*)$/.exec(line));
  return lines.flatMap((match) => (match ? [[Number(match[1]), match[2] ?? '']] : []));
}

/** Ends them: PostgreSQL's immediate shutdown first, then by force. */
export async function endProcesses(cluster: string, graceMs: number): Promise<void> {
  const forceAt = Date.now() + graceMs;
  for (let pids = await processesOf(cluster); pids.length > 0; pids = await processesOf(cluster)) {
    const signal = Date.now() < forceAt ? 'SIGQUIT' : 'SIGKILL';
    for (const pid of pids) send(pid, signal);
    if (Date.now() > forceAt + graceMs) throw new Error(`the processes ${pids.join(', ')} of ${cluster} do not end`);
    await sleep(50);
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
