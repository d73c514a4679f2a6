import type { Logger } from 'pino';
import { messageOf } from '../domain/errors.js';
import type { Inheritance, Registry } from '../ports.js';

interface LeaseHandlers {
  /** Servers that are gone have left the chats, which are claimed for us now: `release` gives them free. Never rejects. */
  readonly inherited: (inheritances: readonly Inheritance[]) => Promise<void>;
  /** The others have taken us for gone, and the chats that we had. */
  readonly lost: () => Promise<void>;
}

const RENEW_MS = 1_000;
/** After the database was away, the others need a moment to say that they live. */
const PATIENCE_MS = 8_000;

/** What this server alone is busy with, for as long as it says that it lives. */
export class Lease {
  readonly #held = new Set<string>();
  #renewing: Promise<void> = Promise.resolve();
  #inheriting: Promise<void> = Promise.resolve();
  #saying: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  /** Since when the registry has answered without a break. */
  #answersSince: number | undefined;

  constructor(
    private readonly registry: Registry,
    private readonly handlers: LeaseHandlers,
    private readonly logger: Logger,
  ) {}

  async start(): Promise<void> {
    await this.#renew();
    let isBusy = false;
    this.#timer = setInterval(() => {
      if (isBusy) return;
      isBusy = true;
      this.#renewing = this.#renew().finally(() => {
        isBusy = false;
      });
    }, RENEW_MS);
  }

  /** Whether the chat is ours; false while another server is busy with it. */
  async claim(chatId: string): Promise<boolean> {
    // A renewal gives free what is not held.
    this.#held.add(chatId);
    await this.#saying;
    try {
      const isOurs = await this.registry.claim(chatId);
      if (!isOurs) this.#held.delete(chatId);
      return isOurs;
    } catch (error) {
      this.#held.delete(chatId);
      throw error;
    }
  }

  /** Never rejects: what the registry does not hear of now, the next renewal tells it. */
  async release(chatId: string): Promise<void> {
    this.#held.delete(chatId);
    await this.registry
      .release(chatId)
      .catch((error) => this.logger.warn(`a chat could not be given free: ${messageOf(error)}`));
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#renewing;
    await this.#inheriting;
    await this.registry.close();
  }

  async #renew(): Promise<void> {
    try {
      const renewal = this.registry.renew([...this.#held]);
      this.#saying = renewal.catch(() => {});
      if (!(await renewal)) {
        this.logger.warn('the other servers took this one for gone: what it was busy with ends');
        this.#held.clear();
        await this.handlers.lost();
      }
      this.#answersSince ??= Date.now();
      if (Date.now() - this.#answersSince < PATIENCE_MS) return;
      const left = await this.registry.takeOver();
      for (const { chatId } of left) this.#held.add(chatId);
      // Beside the renewals: who does not say in time that it lives is taken for gone itself.
      if (left.length > 0) this.#inheriting = this.#inheriting.then(() => this.handlers.inherited(left));
    } catch (error) {
      this.#answersSince = undefined;
      this.logger.warn(`the server could not say that it lives: ${messageOf(error)}`);
    }
  }
}
