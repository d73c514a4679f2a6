import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { newId } from '../../src/domain/ids.js';
import { DockerEngine } from '../../src/engines/docker.js';
import type { ReplicaServer } from '../../src/ports.js';
import { testImage } from './docker.js';

const run = promisify(execFile);

/** By the programs in the server's own container. */
async function inContainer(server: ReplicaServer, program: string, args: string[], input?: Buffer): Promise<Buffer> {
  const { user, password, database } = server.admin;
  const url = `postgres://${user}:${password}@127.0.0.1/${database}`;
  const script = 'for bin in /usr/lib/postgresql/*/bin; do PATH=$bin:$PATH; done; exec "$@"';
  const command = ['exec', '-i', server.id, 'bash', '-c', script, 'bash', program, `--dbname=${url}`, ...args];
  const running = run('docker', command, { encoding: 'buffer', maxBuffer: 2 ** 30 });
  running.child.stdin?.on('error', () => {}).end(input);
  return (await running).stdout;
}

/** What pg_dump makes of the maintenance database. */
export function dump(server: ReplicaServer, ...options: string[]): Promise<Buffer> {
  return inContainer(server, 'pg_dump', options);
}

/** What pg_dump makes of a database with this in it. */
export async function archivesOf(script: Buffer, ...formats: string[]): Promise<Buffer[]> {
  const engine = new DockerEngine({
    instance: newId(),
    image: (await testImage()) as string,
    defaultMajor: 17,
    memoryBytes: 256 * 2 ** 20,
    logger: pino({ level: 'silent' }),
  });
  try {
    const signal = AbortSignal.timeout(200_000);
    const server = await engine.provision({ chatId: newId(), majorVersion: undefined, signal, onProgress: () => {} });
    await inContainer(server, 'psql', ['--quiet', '--set=ON_ERROR_STOP=1', '--file=-'], script);
    const archives: Buffer[] = [];
    for (const format of formats) archives.push(await dump(server, `--format=${format}`));
    return archives;
  } finally {
    await engine.close();
  }
}
