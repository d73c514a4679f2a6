import { ReplichatError } from '../domain/errors.js';

/** Of all replicas together. */
export interface QuotaLimits {
  readonly maxReplicas: number;
  /** Undefined for no limit of its own. */
  readonly maxReplicasPerOwner: number | undefined;
  readonly memory: Shared;
  readonly disk: Shared;
}

/** What each server may take as much of as it needs, up to its part. */
export interface Shared {
  /** Of one server. */
  readonly bytes: number;
  /** Of all of them; undefined for no limit. */
  readonly maxBytes: number | undefined;
}

interface Place {
  readonly owner: string;
  readonly chatId: string;
}

/**
 * Counts servers, from before one is asked for until nothing of it is left. A chat that uploads again has one replica
 * and, until the earlier one is gone, two servers.
 */
export class Quotas {
  readonly #places = new Set<Place>();

  constructor(private readonly limits: QuotaLimits) {}

  /** Returns what gives the place back. Throws QUOTA_EXCEEDED, which says which quota it was. */
  take(owner: string, chatId: string): () => void {
    const { maxReplicas, maxReplicasPerOwner: maxOfOwner, memory, disk } = this.limits;
    const place = { owner, chatId };
    const places = [...this.#places, place];
    const all = chatsOf(places).size;
    if (all > maxReplicas) {
      throw exceeded('replicas', `this server runs at most ${maxReplicas} replicas (MAX_REPLICAS); ${REMEDY}`);
    }
    const own = chatsOf(places.filter((other) => other.owner === owner)).size;
    if (maxOfOwner !== undefined && own > maxOfOwner) {
      const message = `you may have at most ${maxOfOwner} replicas at a time (MAX_REPLICAS_PER_OWNER); ${REMEDY}`;
      throw exceeded('replicas per owner', message);
    }
    const isSecond = chatsOf(this.#places).has(chatId);
    const remedy = isSecond ? `${REMEDY}: this chat's earlier one counts until the new one is READY` : REMEDY;
    for (const [quota, { bytes, maxBytes = Number.POSITIVE_INFINITY }] of Object.entries({ memory, disk })) {
      if (places.length * bytes <= maxBytes) continue;
      const limit = `all replicas together may take ${inMiB(maxBytes)} of ${quota} (MAX_REPLICAS_${quota.toUpperCase()})`;
      throw exceeded(quota, `${limit}, and each is counted with ${inMiB(bytes)}; ${remedy}`);
    }
    return this.#add(place);
  }

  /** What runs already. */
  count(owner: string, chatId: string): () => void {
    return this.#add({ owner, chatId });
  }

  #add(place: Place): () => void {
    this.#places.add(place);
    return () => this.#places.delete(place);
  }
}

const REMEDY = 'delete one with deleteReplica';

function exceeded(quota: string, message: string): ReplichatError {
  return new ReplichatError('QUOTA_EXCEEDED', message, { quota });
}

function chatsOf(places: Iterable<Place>): Set<string> {
  return new Set([...places].map(({ chatId }) => chatId));
}

function inMiB(bytes: number): string {
  return `${Math.round(bytes / 1024 ** 2)} MiB`;
}
