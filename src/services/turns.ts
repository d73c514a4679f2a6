/** Lets so many at a time through, first come, first served. */
export class Turns {
  readonly #waiting: (() => void)[] = [];

  constructor(private free: number) {}

  /** Resolves with what gives the turn back. Rejects with `interrupted`, out of the queue. */
  async take(interrupted: Promise<never>): Promise<() => void> {
    if (this.free > 0) this.free -= 1;
    else await this.#wait(interrupted);
    return () => this.#giveBack();
  }

  async #wait(interrupted: Promise<never>): Promise<void> {
    let pass!: () => void;
    const turn = new Promise<void>((resolve) => {
      pass = resolve;
    });
    this.#waiting.push(pass);
    try {
      await Promise.race([turn, interrupted]);
    } catch (error) {
      const place = this.#waiting.indexOf(pass);
      if (place === -1) this.#giveBack();
      else this.#waiting.splice(place, 1);
      throw error;
    }
  }

  #giveBack(): void {
    const pass = this.#waiting.shift();
    if (pass) pass();
    else this.free += 1;
  }
}
