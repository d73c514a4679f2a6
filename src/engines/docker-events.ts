import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type Dockerode from 'dockerode';
import { LABEL } from './docker-container.js';
import { jsonLines } from './json-lines.js';

interface DockerEvent {
  Action?: string;
  Actor?: { Attributes?: Record<string, string> };
}

export interface EventHandlers {
  /** Docker says "die", Podman "died". */
  exited(serverId: string): void;
  outOfMemory(serverId: string): void;
  paused(serverId: string): void;
  /** The stream of events has begun, anew perhaps: whatever happened before was missed. */
  begun(): void;
}

const RECONNECT_MS = 1_000;
const EVENTS = ['oom', 'die', 'died', 'pause'];

/** Watches the containers with this label until the signal is aborted, however often the Engine hangs up. */
export async function watchEvents(
  docker: Dockerode,
  label: string,
  handlers: EventHandlers,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const events = await docker.getEvents({
        filters: { type: ['container'], label: [label], event: EVENTS },
        abortSignal: signal,
      });
      handlers.begun();
      await handle(events as Readable, handlers);
    } catch {
      // The Engine is gone or going; the loop looks for its return.
    }
    await sleep(RECONNECT_MS, undefined, { signal, ref: false }).catch(() => {});
  }
}

async function handle(events: Readable, handlers: EventHandlers): Promise<void> {
  for await (const event of jsonLines<DockerEvent>(events)) {
    const server = event.Actor?.Attributes?.[LABEL.server];
    if (!server) continue;
    if (event.Action === 'oom') handlers.outOfMemory(server);
    if (event.Action === 'pause') handlers.paused(server);
    if (event.Action === 'die' || event.Action === 'died') handlers.exited(server);
  }
}
