import { describe, expect, test } from '@jest/globals';
import {
  hasEnded,
  KEPT_WARNINGS,
  next,
  queued,
  type ReplicaState,
  type ReplicationEvent,
  type ReplicationStatus,
  type RestoreIssue,
  type RestoreProgress,
} from '../../src/domain/replica.js';

const START = new Date('2024-05-01T12:00:00Z');
const ISSUE: RestoreIssue = { code: 'SQL_ERROR', message: 'relation "a" does not exist', line: 3 };

const EVENTS = {
  starting: { type: 'starting' },
  received: { type: 'received', bytes: 10, total: null },
  restoring: restoring(10),
  warning: { type: 'warning', index: 0, issue: ISSUE },
  ready: { type: 'ready' },
  failed: { type: 'failed', error: ISSUE },
  cancelled: { type: 'cancelled', error: ISSUE },
  expired: { type: 'expired' },
} satisfies Record<string, ReplicationEvent>;
type EventName = keyof typeof EVENTS;
const EVENT_NAMES = Object.keys(EVENTS) as EventName[];

/** How each state is reached from QUEUED. */
const PATHS: Record<ReplicaState, EventName[]> = {
  QUEUED: [],
  STARTING: ['starting'],
  RESTORING: ['starting', 'restoring'],
  READY: ['starting', 'restoring', 'ready'],
  FAILED: ['failed'],
  CANCELLED: ['cancelled'],
  EXPIRED: ['starting', 'restoring', 'ready', 'expired'],
};
const STATES = Object.keys(PATHS) as ReplicaState[];

/** The state after the event, '-' where it is refused. Columns in the order of EVENTS. */
const TABLE: Record<ReplicaState, string> = {
  //          starting  received  restoring warning   ready failed cancelled expired
  QUEUED: '   STARTING  QUEUED    -         QUEUED    -     FAILED CANCELLED -',
  STARTING: ' STARTING  STARTING  RESTORING STARTING  -     FAILED CANCELLED -',
  RESTORING: '-         RESTORING RESTORING RESTORING READY FAILED CANCELLED -',
  READY: '    -         -         -         -         -     FAILED -         EXPIRED',
  FAILED: '   -         -         -         -         -     -      -         -',
  CANCELLED: '-         -         -         -         -     -      -         -',
  EXPIRED: '  -         -         -         -         -     -      -         -',
};
const TRANSITIONS = STATES.flatMap((state) => {
  const results = TABLE[state].trim().split(/\s+/);
  return EVENT_NAMES.map((event, index): [ReplicaState, EventName, string] => [state, event, results[index] as string]);
});
const ALLOWED = TRANSITIONS.filter(([, , result]) => result !== '-');
const REFUSED = TRANSITIONS.filter(([, , result]) => result === '-').map(([state, event]) => [event, state] as const);

describe('next', () => {
  test('is told in the table for every state and event', () => {
    expect(TRANSITIONS).toHaveLength(STATES.length * EVENT_NAMES.length);
    expect(TRANSITIONS.every(([, , result]) => result !== undefined)).toBe(true);
  });

  test.each(ALLOWED)('%s + %s -> %s', (state, event, result) => {
    const before = statusIn(state);
    const after = next(before, EVENTS[event], later(5));
    expect(after).toMatchObject({ state: result, sequence: before.sequence + 1, at: later(5), chatId: 'c1' });
  });

  test.each(REFUSED)('%s cannot follow %s', (event, state) => {
    expect(() => next(statusIn(state), EVENTS[event], later(5))).toThrow(`${event} cannot follow ${state}`);
  });

  test('leaves the earlier snapshot alone', () => {
    const before = statusIn('RESTORING');
    const copy = structuredClone(before);
    for (const event of ['received', 'restoring', 'warning', 'ready', 'failed'] as const) {
      next(before, EVENTS[event], later(5));
    }
    expect(before).toEqual(copy);
  });
});

describe('queued', () => {
  test('begins at nothing', () => {
    expect(queued('c1', 0, START)).toMatchObject({
      chatId: 'c1',
      sequence: 1,
      state: 'QUEUED',
      step: null,
      percent: 0,
      bytesTotal: null,
      error: null,
      warnings: [],
      at: START,
    });
  });

  test('goes on counting after an earlier replication of the chat, and takes nothing else from it', () => {
    const failed = statusIn('FAILED');
    expect(queued('c1', failed.sequence, later(9))).toEqual({
      ...queued('c1', 0, later(9)),
      sequence: failed.sequence + 1,
    });
  });
});

test.each(STATES.map((state) => [state, ['READY', 'FAILED', 'CANCELLED', 'EXPIRED'].includes(state)] as const))(
  'hasEnded(%s) is %s',
  (state, ended) => {
    expect(hasEnded(state)).toBe(ended);
  },
);

describe('progress', () => {
  test.each<[elapsed: number, remaining: number, percent: number]>([
    [0, 10, 1],
    [0, 0, 1],
    [0.001, 10, 1],
    [5, 5, 50],
    [1, 2, 33.3],
    [10, 0, 99.9],
    [1, 0.0001, 99.9],
  ])('with %d s passed and %d s left it is at %d percent', (elapsed, remaining, percent) => {
    const starting = statusIn('STARTING');
    expect(next(starting, restoring(remaining), later(elapsed)).percent).toBe(percent);
  });

  test('percent stays when more is left than was thought', () => {
    const half = next(statusIn('STARTING'), restoring(5), later(5));
    expect(next(half, restoring(500), later(6)).percent).toBe(half.percent);
  });

  test('what is being worked on is told while it is, and no longer', () => {
    const starting = next(statusIn('QUEUED'), { type: 'starting', activity: 'pulling image postgres:17' }, START);
    expect(starting.current).toEqual(['pulling image postgres:17']);
    expect(next(starting, EVENTS.starting, START).current).toEqual([]);
    const restore = next(starting, restoring(10, { current: ['public.film'] }), START);
    expect(restore.current).toEqual(['public.film']);
    for (const end of ['ready', 'failed', 'cancelled'] as const) {
      expect(next(restore, EVENTS[end], START)).toMatchObject({ current: [], etaSeconds: null });
    }
  });

  test('the counts of the restore are taken over', () => {
    const counts = { bytesRestored: 7, tablesDone: 1, tablesTotal: 2, indexesDone: 3, indexesTotal: 4 };
    const status = next(statusIn('STARTING'), restoring(10, { step: 'INDEXES', ...counts }), START);
    expect(status).toMatchObject({ step: 'INDEXES', ...counts });
    expect(status).not.toHaveProperty('remainingSeconds');
  });

  test('bytes received never fall, and their total stays known', () => {
    let status = statusIn('QUEUED');
    for (const [bytes, total] of [
      [10, null],
      [30, 30],
      [20, null],
    ] as const) {
      status = next(status, { type: 'received', bytes, total }, START);
    }
    expect(status).toMatchObject({ bytesReceived: 30, bytesTotal: 30 });
  });
});

describe('the estimate of the time left', () => {
  test.each<[string, number, number, number | null]>([
    ['unknown in the first second', 0.9, 5, null],
    ['what the restore says', 1, 5, 5],
    ['rounded up', 10, 3.2, 4],
    ['nothing at the end', 10, 0, 0],
  ])('is %s', (_what, seconds, remaining, eta) => {
    expect(next(statusIn('STARTING'), restoring(remaining), later(seconds)).etaSeconds).toBe(eta);
  });
});

describe('warnings', () => {
  test(`are all counted, and the first ${KEPT_WARNINGS} kept, oldest first`, () => {
    let status = statusIn('RESTORING');
    for (let line = 1; line <= KEPT_WARNINGS + 5; line += 1) {
      status = next(status, { type: 'warning', index: line - 1, issue: { ...ISSUE, line } }, START);
    }
    expect(status.warningCount).toBe(KEPT_WARNINGS + 5);
    expect(status.warnings.map((warning) => warning.line)).toEqual(
      Array.from({ length: KEPT_WARNINGS }, (_, index) => index + 1),
    );
  });

  test('given again count once, with how often', () => {
    let status = statusIn('RESTORING');
    for (const index of [0, 1, 0, 0]) {
      const issue = { ...ISSUE, line: index, count: status.sequence };
      status = next(status, { type: 'warning', index, issue }, START);
    }
    expect(status).toMatchObject({ warningCount: 2, warnings: [{ line: 0, count: status.sequence - 1 }, { line: 1 }] });
  });

  test('remain when the replication ends', () => {
    const warned = next(statusIn('RESTORING'), EVENTS.warning, START);
    expect(next(warned, EVENTS.ready, START)).toMatchObject({ warningCount: 1, warnings: [ISSUE], error: null });
    expect(next(warned, EVENTS.failed, START)).toMatchObject({ warningCount: 1, warnings: [ISSUE], error: ISSUE });
  });
});

test.each(Array.from({ length: 200 }, (_, seed) => seed))(
  'whatever happens, every snapshot is in order (seed %d)',
  (seed) => {
    const random = randomNumbers(seed);
    let status = queued('c1', 0, START);
    let wasReady = false;
    for (let step = 1; step <= 60; step += 1) {
      const before = status;
      try {
        status = next(before, randomEvent(random, before), later(step));
      } catch (error) {
        expect((error as Error).message).toMatch(/ cannot follow /);
        continue;
      }
      wasReady ||= status.state === 'READY';
      expect(status.sequence).toBe(before.sequence + 1);
      expect(status.percent).toBeGreaterThanOrEqual(before.percent);
      expect(status.bytesReceived).toBeGreaterThanOrEqual(before.bytesReceived);
      expect(status.percent === 100).toBe(wasReady);
      expect(status.error !== null).toBe(status.state === 'FAILED' || status.state === 'CANCELLED');
      expect(status.warnings.length).toBe(Math.min(status.warningCount, KEPT_WARNINGS));
      if (hasEnded(status.state)) expect(status).toMatchObject({ current: [], etaSeconds: null });
      if (hasEnded(before.state))
        expect([before.state, status.state]).toEqual(['READY', expect.stringMatching(/FAILED|EXPIRED/)]);
    }
  },
);

function statusIn(state: ReplicaState): ReplicationStatus {
  const status = PATHS[state].reduce((before, name) => next(before, EVENTS[name], START), queued('c1', 0, START));
  expect(status.state).toBe(state);
  return status;
}

function later(seconds: number): Date {
  return new Date(START.getTime() + seconds * 1000);
}

function restoring(remainingSeconds: number, given: Partial<RestoreProgress> = {}): ReplicationEvent {
  const counts = { bytesRestored: 0, tablesDone: 0, tablesTotal: 0, indexesDone: 0, indexesTotal: 0 };
  return { type: 'restoring', progress: { step: 'DATA', remainingSeconds, ...counts, current: [], ...given } };
}

function randomEvent(random: () => number, { warningCount }: ReplicationStatus): ReplicationEvent {
  // Ends are rare, so that most sequences come far.
  const names: EventName[] =
    random() < 0.1 ? EVENT_NAMES : ['starting', 'received', 'restoring', 'restoring', 'warning'];
  const name = names[Math.floor(random() * names.length)] as EventName;
  if (name === 'restoring') return restoring(random() * 100, { current: ['public.film'] });
  if (name === 'warning') {
    return { type: 'warning', index: Math.floor(random() * (warningCount + 1)), issue: ISSUE };
  }
  if (name === 'received') return { type: 'received', bytes: Math.floor(random() * 1e9), total: null };
  return EVENTS[name];
}

/** Mulberry32: the same numbers for the same seed. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
