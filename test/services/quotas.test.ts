import { describe, expect, test } from '@jest/globals';
import { type QuotaLimits, Quotas } from '../../src/services/quotas.js';
import { startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';

const GiB = 1024 ** 3;

function quotas(limits: Partial<QuotaLimits> = {}): Quotas {
  const unlimited = { bytes: GiB, maxBytes: undefined };
  return new Quotas({
    maxReplicas: 100,
    maxReplicasPerOwner: undefined,
    memory: unlimited,
    disk: unlimited,
    ...limits,
  });
}

/** What is said when the last of these cannot be had, after all others have been. */
function refusal(all: Quotas, ...chats: [owner: string, chatId: string][]): unknown {
  const last = chats.pop() as [string, string];
  for (const [owner, chatId] of chats) all.take(owner, chatId);
  try {
    all.take(...last);
  } catch (error) {
    return error;
  }
  return 'none';
}

describe('a quota', () => {
  test.each<[string, Partial<QuotaLimits>, string]>([
    [
      'replicas',
      { maxReplicas: 2 },
      'this server runs at most 2 replicas (MAX_REPLICAS); delete one with deleteReplica',
    ],
    [
      'memory',
      { memory: { bytes: GiB, maxBytes: 2.5 * GiB } },
      'all replicas together may take 2560 MiB of memory (MAX_REPLICAS_MEMORY), and each is counted with 1024 MiB; ' +
        'delete one with deleteReplica',
    ],
    [
      'disk',
      { disk: { bytes: GiB, maxBytes: 2 * GiB } },
      'all replicas together may take 2048 MiB of disk (MAX_REPLICAS_DISK), and each is counted with 1024 MiB; ' +
        'delete one with deleteReplica',
    ],
  ])('of %s is that of the whole server, and says so', (quota, limits, message) => {
    const error = { code: 'QUOTA_EXCEEDED', facts: { quota }, message };
    expect(refusal(quotas(limits), ['ann', 'a'], ['ben', 'b'], ['cid', 'c'])).toMatchObject(error);
    expect(refusal(quotas(limits), ['ann', 'a'], ['ben', 'b'])).toBe('none');
  });

  test('of replicas per owner is that of each', () => {
    const limits = { maxReplicasPerOwner: 1 };
    expect(refusal(quotas(limits), ['ann', 'a'], ['ben', 'b'])).toBe('none');
    expect(refusal(quotas(limits), ['ann', 'a'], ['ann', 'b'])).toMatchObject({
      code: 'QUOTA_EXCEEDED',
      facts: { quota: 'replicas per owner' },
      message: 'you may have at most 1 replicas at a time (MAX_REPLICAS_PER_OWNER); delete one with deleteReplica',
    });
  });

  test('counts a chat that uploads again once as a replica, and its second server as a server', () => {
    expect(refusal(quotas({ maxReplicas: 1, maxReplicasPerOwner: 1 }), ['ann', 'a'], ['ann', 'a'])).toBe('none');
    const memory = { bytes: GiB, maxBytes: GiB };
    expect(refusal(quotas({ memory }), ['ann', 'a'], ['ann', 'a'])).toMatchObject({
      facts: { quota: 'memory' },
      message: expect.stringMatching(/deleteReplica: this chat's earlier one counts until the new one is READY$/),
    });
  });

  test('has room again for what was given back, once', () => {
    const all = quotas({ maxReplicas: 2 });
    const giveBack = all.take('ann', 'a');
    all.take('ann', 'b');
    giveBack();
    giveBack();
    expect(refusal(all, ['ann', 'c'], ['ann', 'd'])).toMatchObject({ code: 'QUOTA_EXCEEDED' });
  });
});

test('a server gives back the room of what failed, expired, was replaced, deleted or refused', async () => {
  const app = await startApp({
    REPLICA_ENGINE: 'embedded',
    REPLICA_MEMORY: '256m',
    MAX_REPLICAS_MEMORY: '512m',
    MAX_REPLICAS: '1',
  });
  const quotaOf = async (chatId: string) => {
    const { errors } = await app.upload(chatId, 'create table t (a int);');
    return errors?.[0]?.extensions;
  };
  try {
    const [chatId, other] = [await app.createChat(), await app.createChat()];
    await app.upload(chatId, '<html>');
    expect(await app.replicate(chatId, 'selekt;')).toMatchObject({ state: 'FAILED' });
    expect(await app.replicate(chatId, 'create table t (a int);')).toMatchObject({ state: 'READY' });
    expect(await quotaOf(other)).toEqual(expect.objectContaining({ code: 'QUOTA_EXCEEDED', quota: 'replicas' }));
    // The earlier one makes room a little after the newer one is READY.
    for (let round = 0; round < 2; round++) {
      await eventually('there is room for two', async () => {
        const { errors } = await app.upload(chatId, 'create table t (a int);', { ttlSeconds: 3 });
        return errors === undefined;
      });
      expect((await app.watch(chatId)).at(-1)).toMatchObject({ state: 'READY' });
    }
    await eventually('it expires', async () => (await app.status(chatId))?.state === 'EXPIRED');
    await eventually('there is room', async () => (await quotaOf(other)) === undefined);
    await app.graphql('mutation($id: ID!) { deleteChat(id: $id) }', { id: other });
    expect(await app.replicate(chatId, 'create table t (a int);')).toMatchObject({ state: 'READY' });
    await app.graphql('mutation($id: ID!) { deleteReplica(chatId: $id) }', { id: chatId });
    const third = await app.createChat();
    expect(await app.replicate(third, 'create table t (a int);')).toMatchObject({ state: 'READY' });
  } finally {
    await app.app.close();
  }
});
