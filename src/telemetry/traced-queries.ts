import { type QueryAnswer, type QueryRequest, QueryService } from '../services/queries.js';
import type { Tracing } from './tracing.js';

/** Queries on replicas, with a span each. */
export class TracedQueryService extends QueryService {
  readonly #tracing: Tracing;

  constructor(tracing: Tracing, ...given: ConstructorParameters<typeof QueryService>) {
    super(...given);
    this.#tracing = tracing;
  }

  override run(owner: string, request: QueryRequest, signal: AbortSignal): Promise<QueryAnswer> {
    const { chatId, access } = request;
    const attributes = { 'db.system.name': 'postgresql', 'replichat.chat': chatId, 'replichat.access': access };
    return this.#tracing.span('query', attributes, () => super.run(owner, request, signal));
  }
}
