import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import { dockerAvailable, testImage } from '../support/docker.js';
import { eventually } from '../support/eventually.js';
import { type Build, buildServer, ServerProcess } from '../support/server-process.js';
import { size } from './faults.js';
import { columns, momentOf, momentsOf, type Phase, restoreUntil } from './killing.js';
import { Remains } from './remains.js';
import { inSeconds, reportFault, spreadOf } from './report.js';

/** Of each engine; `-- -t docker` keeps to one, SEED repeats the moments. */
const KILLS = size('KILLS');
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const GONE_WITHIN_MS = 60_000;
const LIBRARY = new URL('../../examples/library.sql', import.meta.url);

let build: Build;
beforeAll(async () => {
  build = await buildServer();
});
afterAll(() => build?.remove());

describeKills('embedded', { REPLICA_ENGINE: 'embedded' });
if (await dockerAvailable()) {
  const env = { REPLICA_ENGINE: 'docker', REPLICA_IMAGE: (await testImage()) as string };
  describeKills('docker', env, new Dockerode());
} else {
  describe.skip('a server on engine docker that is killed', () => {
    test('needs Docker', () => {});
  });
}

interface Kill {
  readonly phase: Phase;
  readonly afterMs: number;
  readonly moment: string;
  readonly left: string;
  /** All from the kill on. */
  readonly restartMs: number;
  readonly goneMs: number;
  readonly socketGoneMs: number;
}

function describeKills(engine: string, env: Record<string, string>, docker?: Dockerode): void {
  describe(`a server on engine ${engine} that is killed in the middle of a restore`, () => {
    let tempFolder: string;
    let remains: Remains;
    let server: ServerProcess;
    let dump: string;

    beforeAll(async () => {
      dump = await readFile(LIBRARY, 'utf8');
      tempFolder = await mkdtemp(join(tmpdir(), 'kill-'));
      // PostgreSQL runs as nobody where the server is root.
      await chmod(tempFolder, 0o755);
      remains = new Remains(tempFolder, docker);
      server = await start();
    });

    afterAll(async () => {
      await server?.shutDown();
      await rm(tempFolder, { recursive: true, force: true });
    });

    function start(): Promise<ServerProcess> {
      return ServerProcess.start(build, { ...env, TMPDIR: tempFolder });
    }

    async function killIn(phase: Phase, afterMs: number): Promise<Kill> {
      const victim = server;
      const chatId = await victim.client.createChat();
      const seen = await restoreUntil(victim, { chatId, dump, phase, afterMs });
      await victim.kill();
      const killedAt = performance.now();
      const left = await remains.look();
      server = await start();
      const restartMs = performance.now() - killedAt;
      const gone = (what: string, isSo: (left: readonly string[]) => boolean, withinMs: number) => {
        let last: string[] = [];
        const look = async () => {
          last = await remains.look();
          return isSo(last);
        };
        const title = `${what} of what was killed in ${phase} + ${afterMs} ms, seed ${SEED}`;
        return eventually(title, look, withinMs, () => `(${last.join(', ')})`);
      };
      await gone('nothing but a socket is left', (what) => what.every(isPresence), GONE_WITHIN_MS);
      const goneMs = performance.now() - killedAt;
      await gone('nothing is left', (what) => what.length === 0, GONE_WITHIN_MS);
      const socketGoneMs = performance.now() - killedAt;
      return { phase, afterMs, moment: momentOf(seen), left: summaryOf(left), restartMs, goneMs, socketGoneMs };
    }

    test(
      `${KILLS} times, and started again, leaves nothing of it within ${GONE_WITHIN_MS / 1000} s`,
      async () => {
        const kills: Kill[] = [];
        for (const { phase, afterMs } of momentsOf(KILLS, SEED)) kills.push(await killIn(phase, afterMs));
        process.stdout.write(`\n${tableOf(engine, kills)}\n\n`);
        // Nor has anything appeared late: the Docker Engine may still be making what a killed server asked for.
        const late = await remains.look();
        await reportFault('kill', {
          howOften: `${KILLS} times, engine ${engine}`,
          demanded: `no container, volume, process, file or socket of it ${GONE_WITHIN_MS / 1000} s after it is started again`,
          seen: `left at the kill: ${mostOf(kills)}. All gone after ${spreadOf(kills.map((kill) => kill.socketGoneMs))}; left at the end: ${summaryOf(late)}`,
          details: `\`\`\`\n${tableOf(engine, kills)}\n\`\`\``,
        });
        expect(late).toEqual([]);
      },
      120_000 + KILLS * (GONE_WITHIN_MS + 30_000),
    );
  });
}

describe('a process that is killed while it spools', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spool-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('leaves no file, at whatever moment', async () => {
    const { href } = pathToFileURL(join(dirname(build.main), 'restore/spool.js'));
    const spooling = `
      const { Spool } = await import(${JSON.stringify(href)});
      for (;;) {
        const spool = new Spool(${JSON.stringify(folder)}, 2 ** 26);
        await spool.append(Buffer.alloc(2 ** 20));
        await spool.close();
        process.stdout.write('.');
      }`;
    for (let kill = 1; kill <= 20; kill++) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', spooling], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(child.stdout, 'data');
      await after(kill / 2);
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    expect(await readdir(folder)).toEqual([]);
  });
});

function isPresence(what: string): boolean {
  return what.endsWith('.sock');
}

/** "1 container, 2 volumes". */
function summaryOf(what: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const thing of what) {
    const kind = isPresence(thing) ? 'socket' : (thing.split(' ', 1)[0] as string);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ') || 'nothing';
}

/** What was left most often. */
function mostOf(kills: readonly Kill[]): string {
  const counts = new Map<string, number>();
  for (const { left } of kills) counts.set(left, (counts.get(left) ?? 0) + 1);
  const [most] = [...counts].toSorted(([, one], [, other]) => other - one);
  return most ? `${most[0]} (${most[1]} of ${kills.length})` : 'nothing';
}

function tableOf(engine: string, kills: readonly Kill[]): string {
  const head = ['killed in', 'seen last', 'left behind', 'listens again', 'all but socket gone', 'all gone'];
  const rows = kills.map(({ phase, afterMs, moment, left, restartMs, goneMs, socketGoneMs }) => [
    `${phase} + ${afterMs} ms`,
    moment,
    left,
    inSeconds(restartMs),
    inSeconds(goneMs),
    inSeconds(socketGoneMs),
  ]);
  return `engine ${engine}, seed ${SEED}\n${columns([head, ...rows])}`;
}
