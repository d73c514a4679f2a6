import { setTimeout as after } from 'node:timers/promises';
import { Random } from '../fuzz/random.js';
import type { Status } from '../support/app.js';
import type { ServerProcess } from '../support/server-process.js';

/** What is waited for before the random time; the restore itself is short compared with the start of PostgreSQL. */
const PHASES = ['upload', 'STARTING', 'SCHEMA', 'DATA', 'INDEXES', 'CONSTRAINTS'] as const;
export type Phase = (typeof PHASES)[number];
const LONGEST_WAIT_MS = 500;

/** When a server is killed. */
export interface Moment {
  readonly phase: Phase;
  readonly afterMs: number;
}

/** Few are spread over the phases as well as many. The same for the same seed. */
export function momentsOf(count: number, seed: number): Moment[] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, index) => ({
    phase: PHASES[Math.floor(((index + random.below(1000) / 1000) / count) * PHASES.length)] as Phase,
    afterMs: random.below(LONGEST_WAIT_MS),
  }));
}

/** Resolves a while after the phase was seen, with the last that was seen of the restore. */
export async function restoreUntil(
  { client }: ServerProcess,
  { chatId, dump, phase, afterMs }: Moment & { chatId: string; dump: string },
): Promise<Status | undefined> {
  let seen: Status | undefined;
  let reached = () => {};
  const time = new Promise<void>((resolve) => {
    reached = resolve;
  }).then(() => after(afterMs));
  const earlier = (await client.status(chatId))?.sequence ?? 0;
  const watch = async () => {
    const query = `subscription($id: ID!, $after: Int) {
      replicationStatus(chatId: $id, after: $after) { state step percent sequence } }`;
    for await (const { data } of client.subscribe(query, { id: chatId, after: earlier })) {
      seen = (data as { replicationStatus: Status }).replicationStatus;
      if (seen.state === phase || seen.step === phase || seen.state === 'READY') reached();
    }
  };
  watch().catch(() => {}); // Its server is killed.
  const upload = client.openUpload(chatId);
  upload.write(dump);
  upload.finish();
  if (phase === 'upload') reached();
  await time;
  return seen;
}

export function momentOf(status: Status | undefined): string {
  if (!status) return 'not accepted yet';
  return `${status.state} ${status.step ?? ''} ${status.percent} %`.replace('  ', ' ');
}

/** As wide as they have to be. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return rows.map((row) => line(row).trimEnd()).join('\n');
}
