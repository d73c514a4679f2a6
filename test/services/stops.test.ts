import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import { execOutput } from '../../src/engines/docker-relay.js';
import { type Answer, type Status, startApp, type TestApp } from '../support/app.js';
import { dockerAvailable, testImage } from '../support/docker.js';
import { eventually } from '../support/eventually.js';

const DUMP = 'create table t (a int); insert into t values (42);';
/** Fills the memory with what cannot be killed, and with processes that are smaller than the one that is to be. */
const KILL_POSTMASTER = `
echo 1000 >/proc/$(head -1 /var/lib/postgresql/replica/postmaster.pid)/oom_score_adj
head -c 60M /dev/zero >/tmp/fill
head -c 60M /dev/zero >/dev/shm/fill
for i in {1..20}; do (x=$(head -c 5M /dev/zero | tr '\\0' x); sleep 30) & done
wait
`;

((await dockerAvailable()) ? describe : describe.skip)('a replica whose container', () => {
  const docker = new Dockerode();
  let app: TestApp;

  beforeAll(async () => {
    const image = (await testImage()) as string;
    app = await startApp({ REPLICA_ENGINE: 'docker', REPLICA_IMAGE: image, REPLICA_MEMORY: '160m' });
  });
  afterAll(() => app?.app.close());

  async function newReplica(): Promise<{ chatId: string; container: Dockerode.Container }> {
    const chatId = await app.createChat();
    expect(await app.replicate(chatId, DUMP)).toMatchObject({ state: 'READY', error: null });
    const [info] = await docker.listContainers({ filters: { label: [`replichat.chat=${chatId}`] } });
    return { chatId, container: docker.getContainer(info?.Id as string) };
  }

  /** What a subscriber hears who has heard READY. */
  async function next(chatId: string) {
    const { sequence } = (await app.status(chatId)) as Status;
    return app.watch(chatId, sequence);
  }

  async function run(container: Dockerode.Container, script: string): Promise<void> {
    await execOutput(container, ['bash', '-c', script], AbortSignal.timeout(60_000)).catch(() => {});
  }

  test.each<[string, (container: Dockerode.Container) => Promise<unknown>, RegExp]>([
    ['is killed', (container) => container.kill(), /ended with exit code 137$/],
    ['is stopped', (container) => container.stop(), /ended with exit code \d+$/],
    ['is removed', (container) => container.remove({ force: true, v: true }), /removed by somebody else|exit code 137/],
    ['is paused', (container) => container.pause(), /was paused by somebody else$/],
  ])('%s says so in its state at once', async (_what, stop, message) => {
    const { chatId, container } = await newReplica();
    const watching = next(chatId);
    await stop(container);
    const [status, ...others] = await watching;
    expect(others).toEqual([]);
    expect(status).toMatchObject({
      state: 'FAILED',
      error: { code: 'EXITED', message: expect.stringMatching(message) },
    });
    const { errors } = await app.runQuery(chatId, 'select a from t');
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'REPLICA_NOT_READY', state: 'FAILED' });
    await eventually('it is removed', () =>
      container.inspect().then(
        () => false,
        () => true,
      ),
    );
  });

  test('is gone may have a new one', async () => {
    const { chatId, container } = await newReplica();
    await container.kill();
    await eventually('it is noticed', async () => (await app.status(chatId))?.state === 'FAILED');
    const { sequence } = (await app.status(chatId)) as Status;
    const again = await app.replicate(chatId, DUMP);
    expect(again).toMatchObject({ state: 'READY', error: null });
    expect(again.sequence).toBeGreaterThan(sequence);
    expect(await app.rows(chatId, 'select a from t')).toEqual([[42]]);
  });

  test('runs out of memory says so, with the limit', async () => {
    const { chatId, container } = await newReplica();
    const watching = next(chatId);
    await run(container, KILL_POSTMASTER);
    expect(await watching).toMatchObject([
      {
        state: 'FAILED',
        error: { code: 'OUT_OF_MEMORY', message: 'out of memory: the replica may use 160 MiB (REPLICA_MEMORY)' },
      },
    ]);
  });

  test('loses one query to its limit of memory goes on', async () => {
    const { chatId } = await newReplica();
    const bomb = "select length(string_agg(repeat('x', 1000), '')) from generate_series(1, 900000)";
    const { errors } = await app.runQuery(chatId, bomb, { record: false });
    expect(errors).toHaveLength(1);
    let last: Answer | undefined;
    await eventually(
      'it answers again, and nothing is lost',
      async () => {
        last = await app.runQuery(chatId, 'select a from t', { record: false });
        return last.data?.runQuery.rows[0].a === 42;
      },
      50_000,
      () => JSON.stringify(last),
    );
    expect(await app.status(chatId)).toMatchObject({ state: 'READY', error: null });
  });

  test('is committed, and paused for that, goes on', async () => {
    const { chatId, container } = await newReplica();
    const { Id } = (await container.commit({})) as { Id: string };
    await docker.getImage(Id).remove({ force: true });
    // Longer than a pause that ends a replica.
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(await app.rows(chatId, 'select a from t')).toEqual([[42]]);
    expect(await app.status(chatId)).toMatchObject({ state: 'READY', error: null });
  });
});
