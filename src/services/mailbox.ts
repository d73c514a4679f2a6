interface MailboxOptions<T> {
  /** The reader is gone. */
  readonly signal: AbortSignal;
  readonly replaces?: (newer: T, older: T) => boolean;
  readonly capacity: number;
  readonly overflow: () => Error;
}

/**
 * Events on their way to one reader, who may be slow. Listening begins with the construction, reading whenever the
 * reader comes. `replaces` says when a newer event makes an unread older one worthless; so a slow reader of progress
 * finds the newest. A mailbox that overflows all the same ends with an error, and its reader starts afresh.
 */
export class Mailbox<T> implements AsyncIterableIterator<T> {
  readonly #unread: T[] = [];
  #ended = false;
  #failure: Error | undefined;
  readonly #waiting: (() => void)[] = [];
  readonly #onClose: (() => void)[] = [];

  constructor(private readonly options: MailboxOptions<T>) {
    const { signal } = options;
    const abandon = () => this.return();
    signal.addEventListener('abort', abandon, { once: true });
    this.onClose(() => signal.removeEventListener('abort', abandon));
    if (signal.aborted) abandon();
  }

  push(event: T): void {
    if (this.#ended) return;
    const last = this.#unread.at(-1);
    if (last !== undefined && this.options.replaces?.(event, last)) this.#unread.pop();
    this.#unread.push(event);
    if (this.#unread.length > this.options.capacity) this.fail(this.options.overflow());
    this.#wake();
  }

  /** What has been pushed is still read. */
  end(): void {
    this.#close();
  }

  /** Registers what ends the listening; called at once when the mailbox has ended already. */
  onClose(release: () => void): void {
    if (this.#ended) release();
    else this.#onClose.push(release);
  }

  async next(): Promise<IteratorResult<T>> {
    while (this.#unread.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.#unread.length > 0) return { done: false, value: this.#unread.shift() as T };
    if (this.#failure) {
      const failure = this.#failure;
      this.#failure = undefined;
      throw failure;
    }
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<T>> {
    this.#unread.length = 0;
    this.#close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** What has been pushed is not read any more. */
  fail(error: Error): void {
    if (this.#ended) return;
    this.#unread.length = 0;
    this.#failure = error;
    this.#close();
  }

  #close(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const release of this.#onClose.splice(0)) release();
    this.#wake();
  }

  #wake(): void {
    for (const resume of this.#waiting.splice(0)) resume();
  }
}
