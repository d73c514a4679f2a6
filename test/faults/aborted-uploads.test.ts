import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import { hasEnded, type ReplicaState } from '../../src/domain/replica.js';
import { Random } from '../fuzz/random.js';
import type { Answer, Status } from '../support/app.js';
import { archivesOf } from '../support/archives.js';
import { dockerAvailable, testImage } from '../support/docker.js';
import { eventually } from '../support/eventually.js';
import { Inspector } from '../support/inspector.js';
import { type Build, buildServer, ServerProcess } from '../support/server-process.js';
import { type Break, MANNERS, PLACES, sendBroken } from './broken-upload.js';
import { size } from './faults.js';
import { expectNoLeak, growthOf, inWords, usageAfter, usageAtRest } from './leaks.js';
import { Remains } from './remains.js';
import { reportFault, spreadOf } from './report.js';

const ABORTS = size('ABORTS');
/** Repeats the moments. */
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
/** Chats, each with one upload at a time. */
const HANDS = ABORTS < 20 ? 2 : 4;
const ROWS = 10_000;
const LONGEST_WAIT_MS = 300;
const NUMBERS = 'SELECT number, (SELECT count(*) FROM line) FROM upload';
/** Of an archive, which is the same each time. */
const OF_ARCHIVE = -1;

let build: Build;
beforeAll(async () => {
  build = await buildServer();
});
afterAll(() => build?.remove());

/** A chat, and what it is known to have. */
interface Subject {
  readonly chatId: string;
  /** Of the latest replication. */
  sequence: number;
  /** Of the upload that is in its replica. */
  number: number;
  /** Uploads that have been sent in full. */
  readonly sent: Set<number>;
}

function describeAborts(engine: string, env: Record<string, string>, docker?: Dockerode): void {
  describe(`uploads to a server on engine ${engine} that are broken off`, () => {
    const random = new Random(SEED);
    const outcomes = new Map<string, number>();
    const toldMs: number[] = [];
    let archive: Buffer | undefined;
    let tempFolder: string;
    let remains: Remains;
    let server: ServerProcess;
    let inspector: Inspector;

    beforeAll(async () => {
      tempFolder = await mkdtemp(join(tmpdir(), 'aborts-'));
      await chmod(tempFolder, 0o755);
      remains = new Remains(tempFolder, docker);
      if (docker) [archive] = await archivesOf(scriptOf(OF_ARCHIVE), 'custom');
      server = await ServerProcess.start(build, {
        ...env,
        TMPDIR: tempFolder,
        GATEWAY_PORT: 'off',
        UPLOAD_IDLE_TIMEOUT: '5s',
        BODY_TIMEOUT: '5s',
        NODE_OPTIONS: '--inspect=127.0.0.1:0',
      });
      inspector = await Inspector.connect(server);
    });
    afterAll(async () => {
      inspector?.close();
      await server?.shutDown();
      if (tempFolder) await rm(tempFolder, { recursive: true, force: true });
    });

    async function newSubject(): Promise<Subject> {
      const subject = { chatId: await server.client.createChat(), sequence: 0, number: 0, sent: new Set<number>() };
      await replicate(subject, 0);
      return subject;
    }

    /** An upload that nothing happens to. */
    async function replicate(subject: Subject, number: number): Promise<void> {
      const { client } = server;
      let accepted: Answer['data'];
      await eventually('it is accepted', async () => {
        const { data, errors } = await client.upload(subject.chatId, scriptOf(number));
        // One that has been broken off is heard of late.
        if (errors && errors[0]?.extensions.code !== 'CONFLICT') throw new Error(JSON.stringify(errors));
        accepted = data?.uploadReplica;
        return accepted != null;
      });
      const { state, error, sequence } = (await client.watch(subject.chatId, accepted.status.sequence - 1)).at(
        -1,
      ) as Status;
      if (state !== 'READY') throw new Error(`${state}: ${JSON.stringify(error)}`);
      expect(await client.rows(subject.chatId, NUMBERS)).toEqual([[number, ROWS]]);
      Object.assign(subject, { sequence, number });
    }

    async function breakOff(subject: Subject, index: number): Promise<void> {
      const broken = breakOf(index, random);
      const { name, number, file } = random.pick(filesOf(index));
      if (broken.place === 'complete') subject.sent.add(number);
      const earlier = subject.number;
      const received = await sendBroken(server.client.port, subject.chatId, file, broken);
      // The server may be busy with the upload, or with what is left of it.
      const meanwhile = await numbersIn(subject);
      const hungUpAt = performance.now();
      const became = await truthOf(subject);
      toldMs.push(performance.now() - hungUpAt);
      if (became !== 'READY') expect(meanwhile).toEqual([[earlier, ROWS]]);
      const refusal = /"code":"([A-Z_]+)"/.exec(received)?.[1];
      const outcome = refusal ? `${became}, refused with ${refusal}` : became;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (refusal && refusal !== 'CONFLICT' && refusal !== 'BAD_USER_INPUT')
        throw new Error(`${name} ${JSON.stringify(broken)}: ${received}`);
    }

    function filesOf(number: number): { name: string; number: number; file: Buffer }[] {
      const plain = { name: 'plain', number, file: scriptOf(number) };
      const archives = archive ? [{ name: 'archive', number: OF_ARCHIVE, file: archive }] : [];
      return [plain, plain, { name: 'gzip', number, file: gzipSync(plain.file, { level: 1 }) }, ...archives];
    }

    async function numbersIn({ chatId }: Subject): Promise<unknown[][]> {
      return server.client.rows(chatId, NUMBERS).catch((error) => [[String(error)]]);
    }

    /** What has become of its latest replication, which agrees with what is in the replica. */
    async function truthOf(subject: Subject): Promise<string> {
      for (;;) {
        let status: Status | null = null;
        await eventually('the end', async () => {
          status = await server.client.status(subject.chatId);
          return hasEnded(status?.state as ReplicaState);
        });
        const { state, sequence, error, bytesTotal } = status as unknown as Status;
        const rows = await numbersIn(subject);
        // One more has just been accepted.
        if ((await server.client.status(subject.chatId))?.sequence !== sequence) continue;
        const number = rows[0]?.[0] as number;
        if (sequence > subject.sequence && state === 'READY') {
          if (!subject.sent.has(number)) throw new Error(`READY with upload ${number}, which was never complete`);
          subject.number = number;
        } else if (sequence > subject.sequence) {
          expect({ state, code: error?.code }).toEqual({ state: 'FAILED', code: 'UPLOAD_ABORTED' });
          // What has arrived in full has not been broken off.
          expect(bytesTotal).toBeNull();
        }
        expect(rows).toEqual([[subject.number, ROWS]]);
        const isNew = sequence > subject.sequence;
        subject.sequence = sequence;
        return isNew ? (error?.code ?? state) : 'not accepted';
      }
    }

    async function live(hands: number, aborts: number): Promise<void> {
      const subjects = await Promise.all(Array.from({ length: hands }, newSubject));
      let next = 0;
      const hand = async (subject: Subject) => {
        while (next < aborts) await breakOff(subject, next++);
        await replicate(subject, next);
      };
      await Promise.all(subjects.map(hand));
      const deletion = 'mutation($id: ID!) { deleteChat(id: $id) }';
      for (const { chatId } of subjects) await server.client.graphql(deletion, { id: chatId });
      await eventually('only the server that is kept started is left', async () => isAlone(await left()), 60_000);
    }

    /** Beside what has been provisioned for nobody yet. */
    function isAlone(left: ReadonlyMap<string, number>): boolean {
      return left.get(docker ? 'container' : 'process') === 1;
    }

    /** How many there are of each kind, sessions of PostgreSQL left out. */
    async function left(): Promise<ReadonlyMap<string, number>> {
      const counts = new Map<string, number>();
      for (const what of await remains.look()) {
        const kind = what.split(' ', 1)[0] as string;
        if (kind !== 'process' || what.includes(' -D ')) counts.set(kind, (counts.get(kind) ?? 0) + 1);
      }
      return counts;
    }

    test(
      `${ABORTS} times at any place, leave the chat with a truthful end, its earlier replica in use, and nothing behind`,
      async () => {
        // What is made once is there afterwards: compiled code, pools, a server that is kept started.
        await live(1, 1);
        const [atFirst, before] = [await left(), await usageAtRest(inspector)];
        outcomes.clear();
        toldMs.length = 0;
        await live(HANDS, ABORTS);
        const isNoMore = async () => [...(await left())].every(([kind, count]) => count <= (atFirst.get(kind) ?? 0));
        await eventually('no more is left than before', isNoMore, 60_000);
        const after = await usageAfter(before, inspector);
        const grown = growthOf(before, after);
        const complaints = server.output.filter((line) => /Warning|"level":(50|60)/.test(line));
        await reportFault('aborted', {
          howOften: `${ABORTS} times on engine ${engine}, ${HANDS} at a time`,
          demanded:
            'FAILED, or READY with all of it when all was sent; the earlier replica is in use; the next upload is READY; nothing is left',
          seen: `${inWordsOf(outcomes)}; the end was told after ${spreadOf(toldMs)}; the server grew by ${inWords(grown)}`,
        });
        expectNoLeak(before, after);
        expect(complaints).toEqual([]);
      },
      120_000 + ABORTS * 15_000,
    );
  });
}

describeAborts('embedded', { REPLICA_ENGINE: 'embedded' });
if (await dockerAvailable()) {
  const env = { REPLICA_ENGINE: 'docker', REPLICA_IMAGE: (await testImage()) as string, REPLICA_MEMORY: '192m' };
  describeAborts('docker', env, new Dockerode());
} else {
  describe.skip('uploads to a server on engine docker that are broken off', () => {
    test('needs Docker', () => {});
  });
}

function breakOf(index: number, random: Random): Break {
  const place = PLACES[index % PLACES.length] as Break['place'];
  // A head that does not come is Node's to wait for, a minute.
  const manner = random.pick(place === 'head' ? MANNERS.slice(0, 3) : MANNERS);
  return {
    place,
    manner,
    share: random.below(1000) / 1000,
    afterMs: random.oneIn(2) ? 0 : random.below(LONGEST_WAIT_MS),
    chunked: random.oneIn(2),
  };
}

/** About 1 MB, of which gzip leaves half. */
const LINES = Array.from({ length: ROWS }, (_, id) => {
  const word = Math.imul(id + 1, 0x9e3779b1) >>> 0;
  return `${id}\t${[1, 3, 5, 7, 9, 11, 13, 15].map((odd) => (Math.imul(word, odd) >>> 0).toString(36)).join('')}\n`;
}).join('');

function scriptOf(number: number): Buffer {
  return Buffer.from(`--
-- PostgreSQL database dump
--

-- Dumped from database version 15.2
-- Dumped by pg_dump version 15.2

CREATE TABLE public.upload (number integer);

CREATE TABLE public.line (id integer NOT NULL, word text);

COPY public.upload (number) FROM stdin;
${number}
\\.


COPY public.line (id, word) FROM stdin;
${LINES}\\.


ALTER TABLE ONLY public.line ADD CONSTRAINT line_pkey PRIMARY KEY (id);

CREATE INDEX line_word ON public.line USING btree (word);

--
-- PostgreSQL database dump complete
--

`);
}

function inWordsOf(outcomes: ReadonlyMap<string, number>): string {
  return [...outcomes].map(([outcome, count]) => `${count} ${outcome}`).join(', ');
}
