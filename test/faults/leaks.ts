import { eventually } from '../support/eventually.js';
import type { Inspector, Usage } from '../support/inspector.js';

const MiB = 2 ** 20;

/** Node's own stores grow a little, and its allocator keeps what it has had. */
export const MAY_GROW: Usage = {
  residentBytes: 60 * MiB,
  heapBytes: 8 * MiB,
  descriptors: 3,
  sockets: 3,
  listeners: 20,
};

/** A look at everything takes seconds on a busy machine. */
const REST_WITHIN_MS = 120_000;

/** When nothing more is given back: sockets of clients that are gone, timers of goodbyes. */
export async function usageAtRest(inspector: Inspector): Promise<Usage> {
  const least = await inspector.usage();
  const gaveNothing = async () => {
    const usage = await inspector.usage();
    const gave = usage.descriptors < least.descriptors || usage.listeners < least.listeners;
    Object.assign(least, usage);
    return !gave;
  };
  await eventually('nothing more is given back', gaveNothing, REST_WITHIN_MS);
  return least;
}

export function growthOf(before: Usage, after: Usage): Usage {
  const grown = Object.entries(after).map(([what, amount]) => [what, amount - before[what as keyof Usage]]);
  return Object.fromEntries(grown) as unknown as Usage;
}

export function expectNoLeak(before: Usage, after: Usage, mayGrow = MAY_GROW): void {
  const grown = growthOf(before, after);
  for (const what of Object.keys(mayGrow) as (keyof Usage)[]) {
    if (grown[what] > mayGrow[what]) throw new Error(`${what} grew by ${grown[what]}, more than ${mayGrow[what]}`);
  }
}

export function inWords({ residentBytes, heapBytes, descriptors, sockets, listeners }: Usage): string {
  return `${inMiB(residentBytes)} resident, ${inMiB(heapBytes)} of heap, ${descriptors} descriptors, ${sockets} sockets, ${listeners} listeners`;
}

export function inMiB(bytes: number): string {
  return `${(bytes / MiB).toFixed(1)} MiB`;
}
