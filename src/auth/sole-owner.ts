import type { Authenticator, Identity } from '../ports.js';

/** A server without authentication has one user, whoever asks. */
export class SoleOwnerAuthenticator implements Authenticator {
  constructor(private readonly owner: string) {}

  async identify(): Promise<Identity> {
    return { owner: this.owner, expiresAt: undefined };
  }
}
