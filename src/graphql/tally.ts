/** Counts what each user has at a time. */
export class Tally {
  readonly #counts = new Map<string, number>();

  constructor(private readonly most: number) {}

  /** One more, until the returned function is called; undefined when the user has as many as there may be. */
  enter(owner: string): (() => void) | undefined {
    const count = this.#counts.get(owner) ?? 0;
    if (count >= this.most) return undefined;
    this.#counts.set(owner, count + 1);
    return () => this.#leave(owner);
  }

  #leave(owner: string): void {
    const count = (this.#counts.get(owner) ?? 0) - 1;
    if (count > 0) this.#counts.set(owner, count);
    else this.#counts.delete(owner);
  }
}
