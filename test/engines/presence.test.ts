import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { newId } from '../../src/domain/ids.js';
import { announcePresence, isAlive, presencePath } from '../../src/engines/presence.js';

describe('an instance', () => {
  test('is alive from its announcement to its close', async () => {
    const instance = newId();
    expect(await isAlive(instance)).toBe(false);
    const presence = await announcePresence(instance);
    expect(await isAlive(instance)).toBe(true);
    expect((await stat(presencePath(instance))).mode & 0o777).toBe(0o600);
    await presence.close();
    expect(await isAlive(instance)).toBe(false);
    await expect(stat(presencePath(instance))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('is dead as soon as its process has been killed, and its socket file goes', async () => {
    const instance = newId();
    const script = `require('node:net').createServer().listen(process.argv[1], () => console.log('up'))`;
    const child = spawn(process.execPath, ['-e', script, presencePath(instance)], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(child.stdout, 'data');
    expect(await isAlive(instance)).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect((await stat(presencePath(instance))).isSocket()).toBe(true);
    expect(await isAlive(instance)).toBe(false);
    await expect(stat(presencePath(instance))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('cannot be told dead by a name that is none', async () => {
    expect(await isAlive('../../etc/x')).toBe(true);
  });

  test('has its name for itself', async () => {
    const instance = newId();
    const presence = await announcePresence(instance);
    await expect(announcePresence(instance)).rejects.toThrow(/runs already/);
    await presence.close();
  });
});
