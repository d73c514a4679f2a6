import type { Readable } from 'node:stream';
import type Dockerode from 'dockerode';
import { abortable } from './abortable.js';
import { isUnreachable, reasonOf, statusOf, unavailable } from './docker-errors.js';
import { jsonLines } from './json-lines.js';

type OnProgress = (activity: string) => void;

interface Pull {
  done: Promise<void>;
  cancel: AbortController;
  watchers: Set<OnProgress>;
}

interface PullEvent {
  id?: string;
  status?: string;
  progressDetail?: { current?: number; total?: number };
  error?: string;
}

const PROGRESS_EVERY_MS = 250;

/** Gets images that are missing; several callers share one pull, which ends when the last of them has gone. */
export class ImageSource {
  readonly #pulls = new Map<string, Pull>();

  constructor(private readonly docker: Dockerode) {}

  /** Resolves with the folders that it wants volumes for. */
  async ensure(image: string, onProgress: OnProgress, signal: AbortSignal): Promise<readonly string[]> {
    const volumes = await this.#volumesOf(image, signal);
    if (volumes) return volumes;
    const pull = this.#pulls.get(image) ?? this.#start(image);
    // Wrapped, since two callers may have passed the same function.
    const watcher: OnProgress = (activity) => onProgress(activity);
    pull.watchers.add(watcher);
    watcher(`pulling image ${image}`);
    try {
      await abortable(pull.done, signal);
    } finally {
      pull.watchers.delete(watcher);
      if (pull.watchers.size === 0) {
        this.#forget(image, pull);
        pull.cancel.abort();
      }
    }
    return (await this.#volumesOf(image, signal)) ?? [];
  }

  /** Undefined when it is not there. */
  async #volumesOf(image: string, signal: AbortSignal): Promise<readonly string[] | undefined> {
    try {
      const { Config } = await abortable(this.docker.getImage(image).inspect(), signal);
      return Object.keys(Config?.Volumes ?? {});
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  #start(image: string): Pull {
    const cancel = new AbortController();
    const watchers = new Set<OnProgress>();
    const tell: OnProgress = (activity) => {
      for (const watcher of watchers) watcher(activity);
    };
    const pull: Pull = { done: this.#pull(image, tell, cancel.signal), cancel, watchers };
    this.#pulls.set(image, pull);
    pull.done.catch(() => {}).finally(() => this.#forget(image, pull));
    return pull;
  }

  #forget(image: string, pull: Pull): void {
    if (this.#pulls.get(image) === pull) this.#pulls.delete(image);
  }

  async #pull(image: string, tell: OnProgress, signal: AbortSignal): Promise<void> {
    try {
      // Without a tag the Engine would fetch every tag there is.
      const events = await this.docker.pull(withTag(image), { abortSignal: signal });
      await followPull(image, events as Readable, tell, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (isUnreachable(error)) throw error;
      throw unavailable(
        `the image ${image} is not on the Docker Engine and cannot be pulled (${reasonOf(error)}): ` +
          `get it with "docker pull ${image}", or name another one in REPLICA_IMAGE`,
        error,
      );
    }
  }
}

async function followPull(image: string, events: Readable, tell: OnProgress, signal: AbortSignal): Promise<void> {
  const cancel = () => events.destroy(signal.reason);
  signal.addEventListener('abort', cancel, { once: true });
  const layers = new Map<string, { current: number; total: number }>();
  let told = 0;
  try {
    // Failures come as events too: the HTTP status has long been 200.
    for await (const { id, status, progressDetail, error } of jsonLines<PullEvent>(events)) {
      if (error) throw new Error(error);
      if (id && status === 'Downloading' && progressDetail?.total) {
        layers.set(id, { current: progressDetail.current ?? 0, total: progressDetail.total });
      }
      if (layers.size === 0 || Date.now() - told < PROGRESS_EVERY_MS) continue;
      told = Date.now();
      tell(status === 'Extracting' ? `unpacking image ${image}` : `pulling image ${image}, ${downloaded(layers)}`);
    }
  } finally {
    signal.removeEventListener('abort', cancel);
    events.destroy();
  }
}

function downloaded(layers: Map<string, { current: number; total: number }>): string {
  let current = 0;
  let total = 0;
  for (const layer of layers.values()) {
    current += layer.current;
    total += layer.total;
  }
  return `${Math.round(current / 1e6)} of ${Math.round(total / 1e6)} MB`;
}

function withTag(image: string): string {
  const name = image.slice(image.lastIndexOf('/') + 1);
  return /[:@]/.test(name) ? image : `${image}:latest`;
}
