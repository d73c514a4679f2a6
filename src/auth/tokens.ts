import type { KeyObject } from 'node:crypto';
import {
  createRemoteJWKSet,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose';
import { ReplichatError } from '../domain/errors.js';
import type { Authenticator, Identity } from '../ports.js';

export interface TokenRules {
  /** A shared secret, or where the issuer publishes its keys. */
  readonly key: KeyObject | URL;
  readonly issuer: string;
  readonly audience: string;
}

/** A public key must never be taken for a shared secret: which algorithms there are depends on the kind of key alone. */
const SECRET_ALGORITHMS = ['HS256'];
const PUBLIC_KEY_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
];
/** Between the issuer's clock and ours. */
const CLOCK_TOLERANCE_SECONDS = 5;
const MOST_SUBJECT_CHARACTERS = 255;

type Verify = (token: string) => Promise<JWTPayload>;

/** Bearer tokens: JWTs with a signature, exp, sub, and the given iss and aud. Chats belong to `sub`. */
export class TokenAuthenticator implements Authenticator {
  readonly #verify: Verify;

  constructor(rules: TokenRules) {
    this.#verify = verifier(rules);
  }

  async identify(authorization: string | undefined): Promise<Identity> {
    const payload = await this.#verify(bearerToken(authorization)).catch((error) => {
      throw refusal(error);
    });
    const { sub, exp } = payload;
    if (!isSubject(sub)) {
      throw refused(
        'INVALID',
        `its sub has to be 1 to ${MOST_SUBJECT_CHARACTERS} characters, none of them a control character`,
      );
    }
    return { owner: sub, expiresAt: new Date((Number(exp) + CLOCK_TOLERANCE_SECONDS) * 1000) };
  }
}

function verifier({ key, issuer, audience }: TokenRules): Verify {
  const isPublic = key instanceof URL;
  const options: JWTVerifyOptions = {
    issuer,
    audience,
    algorithms: isPublic ? PUBLIC_KEY_ALGORITHMS : SECRET_ALGORITHMS,
    requiredClaims: ['exp', 'sub'],
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
  };
  const getKey: JWTVerifyGetKey = isPublic ? createRemoteJWKSet(key) : async () => key;
  return async (token) => (await jwtVerify(token, getKey, options)).payload;
}

function bearerToken(authorization: string | undefined): string {
  const [, token] = /^Bearer +(\S+)$/i.exec(authorization?.trim() ?? '') ?? [];
  if (token === undefined)
    throw refused('MISSING', 'send one: Authorization: Bearer TOKEN (over WebSocket in connectionParams)');
  return token;
}

function isSubject(sub: unknown): sub is string {
  return typeof sub === 'string' && /^[^\p{Cc}\p{Surrogate}]+$/u.test(sub) && sub.length <= MOST_SUBJECT_CHARACTERS;
}

/** What is wrong with a token. What is wrong with its issuer's keys is not the client's fault, and stays as it is. */
const TOKEN_ERRORS = [
  errors.JWTClaimValidationFailed,
  errors.JWTInvalid,
  errors.JWSInvalid,
  errors.JWSSignatureVerificationFailed,
  errors.JOSEAlgNotAllowed,
  errors.JOSENotSupported,
  errors.JWKSNoMatchingKey,
  errors.JWKSMultipleMatchingKeys,
];

function refusal(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return refused('EXPIRED', 'get a new one');
  if (error instanceof errors.JWTClaimValidationFailed) return refused('INVALID', error.message);
  return TOKEN_ERRORS.some((kind) => error instanceof kind)
    ? refused('INVALID', 'it was not signed for this server')
    : error;
}

type Reason = 'MISSING' | 'EXPIRED' | 'INVALID';

const PROBLEMS: Record<Reason, string> = {
  MISSING: 'this server needs a token',
  EXPIRED: 'the token has expired',
  INVALID: 'the token is not valid',
};

function refused(reason: Reason, remedy: string): ReplichatError {
  return new ReplichatError('UNAUTHENTICATED', `${PROBLEMS[reason]}; ${remedy}`, { reason });
}
