import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Mailbox } from '../../src/services/mailbox.js';

let reader: AbortController;

beforeEach(() => {
  reader = new AbortController();
});

afterEach(() => reader.abort());

function mailboxOf(given: { capacity?: number; replaces?: (newer: string, older: string) => boolean } = {}) {
  const overflow = () => new Error('too slow');
  return new Mailbox<string>({ signal: reader.signal, capacity: 100, overflow, ...given });
}

/** Only the newest of one letter is worth reading: "a1", "a2", "b1" -> "a2", "b1". */
const sameLetter = (newer: string, older: string) => newer[0] === older[0];

const DONE = { done: true, value: undefined };
const item = (value: string) => ({ done: false, value });

describe('a mailbox', () => {
  test('keeps what comes before its reader, in order', async () => {
    const mailbox = mailboxOf();
    for (const event of ['a', 'b', 'c']) mailbox.push(event);
    mailbox.end();
    expect(await allOf(mailbox)).toEqual(['a', 'b', 'c']);
  });

  test('wakes a reader who waits', async () => {
    const mailbox = mailboxOf();
    const waiting = mailbox.next();
    mailbox.push('a');
    expect(await waiting).toEqual(item('a'));
    const ending = mailbox.next();
    mailbox.end();
    expect(await ending).toEqual(DONE);
  });

  test('answers everyone who asks ahead, in turn', async () => {
    const mailbox = mailboxOf();
    const waiting = [mailbox.next(), mailbox.next(), mailbox.next()];
    mailbox.push('a');
    mailbox.push('b');
    mailbox.end();
    expect(await Promise.all(waiting)).toEqual([item('a'), item('b'), DONE]);
  });

  test('delivers falsy events', async () => {
    const mailbox = mailboxOf();
    mailbox.push('');
    expect(await mailbox.next()).toEqual(item(''));
  });

  test('takes nothing after its end', async () => {
    const mailbox = mailboxOf();
    mailbox.push('a');
    mailbox.end();
    mailbox.push('b');
    expect(await mailbox.next()).toEqual(item('a'));
    expect(await mailbox.next()).toEqual(DONE);
    expect(await mailbox.next()).toEqual(DONE);
  });
});

describe('a slow reader', () => {
  test.each<[string[], string[]]>([
    [['a1', 'a2', 'a3'], ['a3']],
    [
      ['a1', 'a2', 'b1', 'b2', 'c1'],
      ['a2', 'b2', 'c1'],
    ],
    [
      ['a1', 'b1', 'a2'],
      ['a1', 'b1', 'a2'],
    ],
  ])('of %j finds %j: the newest, and no change left out', async (pushed, read) => {
    const mailbox = mailboxOf({ replaces: sameLetter });
    for (const event of pushed) mailbox.push(event);
    mailbox.end();
    expect(await allOf(mailbox)).toEqual(read);
  });

  test('is not overtaken: what has been read is not replaced', async () => {
    const mailbox = mailboxOf({ replaces: sameLetter });
    mailbox.push('a1');
    expect(await mailbox.next()).toEqual(item('a1'));
    mailbox.push('a2');
    expect(await mailbox.next()).toEqual(item('a2'));
  });

  test('never overflows by what is replaced', async () => {
    const mailbox = mailboxOf({ capacity: 1, replaces: sameLetter });
    for (let count = 0; count < 1000; count += 1) mailbox.push(`a${count}`);
    expect(await mailbox.next()).toEqual(item('a999'));
  });

  test('may be behind by the capacity', async () => {
    const mailbox = mailboxOf({ capacity: 3 });
    for (const event of ['a', 'b', 'c']) mailbox.push(event);
    mailbox.end();
    expect(await allOf(mailbox)).toEqual(['a', 'b', 'c']);
  });

  test('is told once when that was too slow, and is then at the end', async () => {
    const mailbox = mailboxOf({ capacity: 3 });
    let closed = 0;
    mailbox.onClose(() => {
      closed += 1;
    });
    for (const event of ['a', 'b', 'c', 'd', 'e']) mailbox.push(event);
    expect(closed).toBe(1);
    await expect(mailbox.next()).rejects.toThrow('too slow');
    expect(await mailbox.next()).toEqual(DONE);
  });
});

describe('a reader who leaves', () => {
  test.each<[string, (mailbox: Mailbox<string>) => unknown]>([
    ['by its signal', () => reader.abort()],
    ['by return()', (mailbox) => mailbox.return()],
  ])('%s finds the end at once, also while it waits, and nothing that was unread', async (_how, leave) => {
    const waitedOn = mailboxOf();
    const waiting = waitedOn.next();
    leave(waitedOn);
    expect(await waiting).toEqual(DONE);

    reader = new AbortController();
    const unread = mailboxOf();
    unread.push('a');
    leave(unread);
    unread.push('b');
    expect(await unread.next()).toEqual(DONE);
  });

  test('before the beginning finds the end', async () => {
    reader.abort();
    const mailbox = mailboxOf();
    mailbox.push('a');
    expect(await mailbox.next()).toEqual(DONE);
  });

  test('by breaking out of its loop ends the listening', async () => {
    const mailbox = mailboxOf();
    let closed = false;
    mailbox.onClose(() => {
      closed = true;
    });
    mailbox.push('a');
    mailbox.push('b');
    for await (const event of mailbox) {
      expect(event).toBe('a');
      break;
    }
    expect(closed).toBe(true);
  });
});

describe('what ends the listening', () => {
  test.each<[string, (mailbox: Mailbox<string>) => unknown]>([
    ['end()', (mailbox) => mailbox.end()],
    ['return()', (mailbox) => mailbox.return()],
    ['the signal', () => reader.abort()],
    ['all of them', (mailbox) => [mailbox.end(), mailbox.return(), reader.abort(), mailbox.end()]],
  ])('is called once, after %s', (_what, close) => {
    const mailbox = mailboxOf();
    const closed: string[] = [];
    mailbox.onClose(() => void closed.push('one'));
    mailbox.onClose(() => void closed.push('two'));
    expect(closed).toEqual([]);
    close(mailbox);
    expect(closed).toEqual(['one', 'two']);
  });

  test('is called at once when the mailbox has ended before', () => {
    const mailbox = mailboxOf();
    mailbox.end();
    let closed = false;
    mailbox.onClose(() => {
      closed = true;
    });
    expect(closed).toBe(true);
  });

  test('leaves nothing on a signal that lives on', () => {
    for (let count = 0; count < 20; count += 1) mailboxOf().end();
    expect(getEventListeners(reader.signal, 'abort')).toHaveLength(0);
  });
});

async function allOf(mailbox: Mailbox<string>): Promise<string[]> {
  const events: string[] = [];
  for await (const event of mailbox) events.push(event);
  return events;
}
