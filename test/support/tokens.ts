import { createSecretKey } from 'node:crypto';
import { type JWTPayload, SignJWT } from 'jose';

export const ISSUER = 'https://id.example';
export const AUDIENCE = 'replichat';
export const SECRET = 'a secret of the tests, which nothing else is signed with';

/** For a server that takes the tokens of `tokenFor`. */
export const AUTH = { AUTH_JWT_SECRET: SECRET, AUTH_ISSUER: ISSUER, AUTH_AUDIENCE: AUDIENCE };

/** What a good token says, good for `seconds` from now. */
export function claimsOf(sub: string, seconds = 600): JWTPayload {
  return { sub, iss: ISSUER, aud: AUDIENCE, exp: Math.floor(Date.now() / 1000) + seconds };
}

export function tokenFor(sub: string, seconds?: number): Promise<string> {
  return sign(claimsOf(sub, seconds));
}

export function sign(claims: JWTPayload, secret = SECRET, alg = 'HS256'): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg }).sign(createSecretKey(secret, 'utf8'));
}
