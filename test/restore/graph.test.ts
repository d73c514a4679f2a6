import { describe, expect, test } from '@jest/globals';
import { EVERYTHING, Graph, type Lock, type Task } from '../../src/restore/graph.js';

interface Named extends Task {
  readonly name: string;
}

const SHARED: Lock = { key: EVERYTHING, exclusive: false };
const shared = (...keys: string[]): Lock[] => [SHARED, ...keys.map((key) => ({ key, exclusive: false }))];
const exclusive = (...keys: string[]): Lock[] => [SHARED, ...keys.map((key) => ({ key, exclusive: true }))];
const ALONE: Lock[] = [{ key: EVERYTHING, exclusive: true }];

function task(name: string, locks: readonly Lock[], rest: Partial<Named> = {}): Named {
  return { name, locks, cost: 1, bytes: 1, ...rest };
}

/** Sessions whose tasks end when the test says so. */
function sessions(count: number) {
  const ends = new Map<string, { resolve: () => void; reject: (error: Error) => void }>();
  const began: string[] = [];
  const ended: string[] = [];
  let backlogs = 0;
  const graph = new Graph<Named>({ onBacklog: () => backlogs++, onEnd: ({ name }) => ended.push(name) });
  const working = Array.from({ length: count }, (_, index) =>
    graph.work(index === 0, ({ name }) => {
      began.push(name);
      return new Promise<void>((resolve, reject) => ends.set(name, { resolve, reject }));
    }),
  );
  for (const work of working) work.catch(() => {});
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  return {
    graph,
    working,
    began,
    ended,
    backlogs: () => backlogs,
    async add(...tasks: Named[]) {
      for (const each of tasks) graph.add(each);
      await settled();
      return began.splice(0);
    },
    async end(...names: string[]) {
      for (const name of names) ends.get(name)?.resolve();
      await settled();
      return began.splice(0);
    },
    async fail(name: string, error: Error) {
      ends.get(name)?.reject(error);
      await settled();
    },
  };
}

describe('order', () => {
  test('what shares no lock runs side by side, as far as there are sessions', async () => {
    const { add, end } = sessions(2);
    expect(await add(task('a', exclusive('a')), task('b', exclusive('b')), task('c', exclusive('c')))).toEqual([
      'a',
      'b',
    ]);
    expect(await end('b')).toEqual(['c']);
  });

  test('exclusive waits for all before it, and all after it wait for it', async () => {
    const { add, end } = sessions(4);
    expect(await add(task('load', exclusive('t')), task('i', shared('t')), task('j', shared('t')))).toEqual(['load']);
    expect(await add(task('fk', exclusive('t', 'r')), task('k', shared('t')))).toEqual([]);
    expect(await end('load')).toEqual(['i', 'j']);
    expect(await end('i')).toEqual([]);
    expect(await end('j')).toEqual(['fk']);
    expect(await end('fk')).toEqual(['k']);
  });

  test('a task that is alone is, and only in the first session', async () => {
    const { add, end } = sessions(3);
    expect(await add(task('a', exclusive('a')), task('b', exclusive('b')))).toEqual(['a', 'b']);
    const alone = task('alone', ALONE, { inFirstSession: true });
    expect(await add(alone, task('c', exclusive('c')))).toEqual([]);
    expect(await end('b')).toEqual([]);
    expect(await end('a')).toEqual(['alone']);
    expect(await end('alone')).toEqual(['c']);
  });

  test('of those that may begin, the one with the longest chain behind it is first', async () => {
    const { add, end } = sessions(1);
    await add(task('running', ALONE));
    await add(
      task('short', exclusive('s'), { cost: 1 }),
      task('long', exclusive('l'), { cost: 5 }),
      task('start', exclusive('c'), { cost: 1 }),
      task('rest', exclusive('c'), { cost: 10 }),
    );
    // The ranking may be as old as that.
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(await end('running')).toEqual(['start']);
    expect(await end('start')).toEqual(['rest']);
    expect(await end('rest')).toEqual(['long']);
    expect(await end('long')).toEqual(['short']);
  });

  test('two tasks never run at the same time that share an exclusive lock, whatever the graph', async () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = randomNumbers(seed);
      const running = new Set<Named>();
      const done: Named[] = [];
      const graph = new Graph<Named>({ onBacklog: () => {}, onEnd: () => {} });
      const conflict = (a: Named, b: Named) =>
        a.locks.some((x) => b.locks.some((y) => x.key === y.key && (x.exclusive || y.exclusive)));
      const perform = async (each: Named) => {
        for (const other of running) expect(conflict(each, other)).toBe(false);
        running.add(each);
        for (let turn = random() * 5; turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve));
        running.delete(each);
        done.push(each);
      };
      const working = [true, false, false].map((first) => graph.work(first, perform));
      const all = Array.from({ length: 60 }, (_, index) => {
        const locks = random() < 0.05 ? ALONE : [SHARED];
        for (const key of ['a', 'b', 'c', 'd']) {
          if (locks !== ALONE && random() < 0.3) locks.push({ key, exclusive: random() < 0.5 });
        }
        return task(String(index), [...locks], { cost: random(), inFirstSession: locks === ALONE });
      });
      for (const each of all) {
        await graph.room();
        graph.add(each);
        if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve));
      }
      graph.complete();
      await Promise.all(working);
      expect(done).toHaveLength(all.length);
      for (const [index, each] of all.entries()) {
        for (const later of all.slice(index + 1)) {
          if (conflict(each, later)) expect(done.indexOf(each)).toBeLessThan(done.indexOf(later));
        }
      }
    }
  });
});

describe('sessions', () => {
  test('several help with one task while it wants help, and it ends with the last', async () => {
    const { add, end, ended, graph } = sessions(3);
    const load = task('load', exclusive('t'), { wantsHelp: true });
    expect(await add(load, task('index', shared('t')))).toEqual(['load', 'load', 'load']);
    expect([...graph.pending()]).toHaveLength(2);
    expect(ended).toEqual([]);
    await end('load');
    // The test knows the last of the three only.
    expect(ended).toEqual([]);
  });

  test('that are worn leave the rest to others, and the first does what only it can', async () => {
    const began: string[] = [];
    let backlogs = 0;
    const graph = new Graph<Named>({ onBacklog: () => backlogs++, onEnd: () => {} });
    const work = (first: boolean, most = Number.POSITIVE_INFINITY) => {
      let done = 0;
      const perform = async ({ name }: Named) => {
        began.push(name);
        done += 1;
      };
      return graph.work(first, perform, () => done >= most);
    };
    const [first, second] = [work(true, 1), work(false, 2)];
    for (const name of ['a', 'b', 'c', 'd']) graph.add(task(name, exclusive(name)));
    await second;
    expect([began.length, backlogs > 0]).toEqual([3, true]);
    const third = work(false);
    await new Promise((resolve) => setImmediate(resolve));
    expect(began).toHaveLength(4);
    graph.add(task('alone', ALONE, { inFirstSession: true }));
    graph.complete();
    await Promise.all([first, third]);
    expect(began.at(-1)).toBe('alone');
  });

  test('are asked for when there is more to do than they can', async () => {
    const { add, backlogs } = sessions(1);
    await add(task('a', exclusive('a')));
    expect(backlogs()).toBe(0);
    await add(task('b', exclusive('b')));
    expect(backlogs()).toBeGreaterThan(0);
  });

  test('end when everything has been added and has ended', async () => {
    const { add, end, graph, working } = sessions(2);
    await add(task('a', exclusive('a')));
    graph.complete();
    await end('a');
    await expect(Promise.all(working)).resolves.toBeDefined();
    await expect(graph.empty()).resolves.toBeUndefined();
  });

  test('all end when one has failed', async () => {
    const { add, fail, graph, working } = sessions(2);
    await add(task('a', exclusive('a')), task('b', exclusive('a')));
    const error = new Error('refused');
    const waiting = graph.empty();
    waiting.catch(() => {});
    await fail('a', error);
    for (const work of working) await expect(work).rejects.toBe(error);
    await expect(waiting).rejects.toBe(error);
    await expect(graph.failed).rejects.toBe(error);
    await expect(graph.room()).rejects.toBe(error);
  });
});

test('there is room for so many bytes of tasks, and for more when some have ended', async () => {
  const { add, end, graph } = sessions(1);
  await add(task('a', exclusive('a'), { bytes: 50 * 1024 * 1024 }));
  let room = false;
  graph.room().then(() => {
    room = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(room).toBe(false);
  await end('a');
  expect(room).toBe(true);
});

function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return state / 4294967296;
  };
}
