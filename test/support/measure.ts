import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const ROUNDS = 10;

/** The least that `measure` gives, asked again until that is below `limit`: what else the machine does only adds to it. */
export async function least(limit: number, measure: () => number | Promise<number>): Promise<number> {
  let least = await measure();
  for (let round = 1; round < ROUNDS && least >= limit; round++) least = Math.min(least, await measure());
  return least;
}

/** Of the heap and of Buffers, once the garbage has been collected. */
export function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return usedBytes();
}

/** With garbage. */
export function usedBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Milliseconds that this thread has had of a CPU, where the kernel tells; a clock elsewhere. */
export function busyMs(): number {
  if (process.platform !== 'linux') return performance.now();
  const [nanoseconds] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ');
  return Number(nanoseconds) / 1e6;
}

/** How long one turn of the event loop keeps the others waiting by its own work: the longest but for one in a hundred. */
export async function longestTurn(work: () => Promise<void>): Promise<number> {
  const turns: number[] = [];
  let before = busyMs();
  const turn = () => {
    const now = busyMs();
    turns.push(now - before);
    before = now;
  };
  const turning = setInterval(turn, 1);
  await work().finally(() => clearInterval(turning));
  turn();
  return turns.sort((a, b) => b - a)[Math.floor(turns.length / 100)] as number;
}
