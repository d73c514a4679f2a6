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
/** What comes and goes by itself may look like something that is still given back. */
const MOST_LOOKS = 5;

/** When nothing more is given back: sockets of clients that are gone, timers of goodbyes. */
export async function usageAtRest(inspector: Inspector): Promise<Usage> {
  let usage = await inspector.usage();
  for (let looks = 1; looks < MOST_LOOKS; looks += 1) {
    const earlier = usage;
    usage = await inspector.usage();
    if (usage.descriptors >= earlier.descriptors && usage.listeners >= earlier.listeners) break;
  }
  return usage;
}

/** When it is no more than there was, or does not become so: a leak stays. */
export async function usageAfter(before: Usage, inspector: Inspector): Promise<Usage> {
  for (const deadline = Date.now() + REST_WITHIN_MS; ; ) {
    const usage = await inspector.usage();
    if (excessOf(growthOf(before, usage)).length === 0 || Date.now() > deadline) return usage;
  }
}

export function growthOf(before: Usage, after: Usage): Usage {
  const grown = Object.entries(after).map(([what, amount]) => [what, amount - before[what as keyof Usage]]);
  return Object.fromEntries(grown) as unknown as Usage;
}

export function expectNoLeak(before: Usage, after: Usage): void {
  const excess = excessOf(growthOf(before, after));
  if (excess.length > 0) throw new Error(excess.join('; '));
}

function excessOf(grown: Usage): string[] {
  const all = Object.keys(MAY_GROW) as (keyof Usage)[];
  return all
    .filter((what) => grown[what] > MAY_GROW[what])
    .map((what) => `${what} grew by ${grown[what]}, more than ${MAY_GROW[what]}`);
}

export function inWords({ residentBytes, heapBytes, descriptors, sockets, listeners }: Usage): string {
  return `${inMiB(residentBytes)} resident, ${inMiB(heapBytes)} of heap, ${descriptors} descriptors, ${sockets} sockets, ${listeners} listeners`;
}

export function inMiB(bytes: number): string {
  return `${(bytes / MiB).toFixed(1)} MiB`;
}
