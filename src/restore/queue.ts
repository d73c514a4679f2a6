/** Between what produces and what consumes at its own pace: `put` waits while more than `capacity` is in it. */
export class Queue<T> {
  readonly #items: { item: T; weight: number }[] = [];
  #weight = 0;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #wakeTaker: (() => void) | undefined;
  #wakePutter: (() => void) | undefined;

  constructor(private readonly capacity: number) {}

  async put(item: T, weight: number): Promise<void> {
    while (this.#weight > this.capacity && !this.#failure) {
      await new Promise<void>((resolve) => {
        this.#wakePutter = resolve;
      });
    }
    if (this.#failure) throw this.#failure.error;
    this.#items.push({ item, weight });
    this.#weight += weight;
    this.#wakeTaker?.();
  }

  end(): void {
    this.#ended = true;
    this.#wakeTaker?.();
  }

  /** Both sides are told at once; what is still in it is lost. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wakeTaker?.();
    this.#wakePutter?.();
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  /** Undefined when it has ended. */
  async take(): Promise<T | undefined> {
    while (this.#items.length === 0 && !this.#ended && !this.#failure) {
      await new Promise<void>((resolve) => {
        this.#wakeTaker = resolve;
      });
    }
    if (this.#failure) throw this.#failure.error;
    const first = this.#items.shift();
    if (!first) return undefined;
    this.#weight -= first.weight;
    this.#wakePutter?.();
    return first.item;
  }
}
