import type { Statement } from './script.js';
import type { Session } from './session.js';

/** Settled together, so that their answers are not kept for longer. */
const MOST_UNSETTLED = 1000;

/** Statements that are sent before the earlier ones are answered, and settled in their order. */
export class Ahead {
  #sent: { readonly statement: Statement; readonly ended: Promise<void> }[] = [];

  constructor(
    private readonly session: Session,
    private readonly onSettled: (statement: Statement, ended: Promise<void>) => Promise<void>,
  ) {}

  async send(statement: Statement): Promise<void> {
    await this.session.room();
    this.#sent.push({ statement, ended: this.session.run(statement.bytes) });
    if (this.#sent.length >= MOST_UNSETTLED) await this.settle();
  }

  async settle(): Promise<void> {
    for (const { statement, ended } of this.#sent.splice(0)) await this.onSettled(statement, ended);
  }
}
