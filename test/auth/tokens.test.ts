import { createSecretKey } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { TokenAuthenticator } from '../../src/auth/tokens.js';
import { AUDIENCE, claimsOf, ISSUER, SECRET, sign } from '../support/tokens.js';

const RULES = { issuer: ISSUER, audience: AUDIENCE };
const bySecret = new TokenAuthenticator({ ...RULES, key: createSecretKey(SECRET, 'utf8') });

function refusal(reason: string, message: unknown = expect.any(String)) {
  return expect.objectContaining({ code: 'UNAUTHENTICATED', message, facts: { reason } });
}

describe('a token signed with the secret', () => {
  const authenticator = bySecret;
  const identify = (token: string) => authenticator.identify(`Bearer ${token}`);

  test('tells its subject and when it ends, a few seconds of tolerance included', async () => {
    const claims = claimsOf('ada');
    const token = await sign(claims);
    const expiresAt = new Date((Number(claims.exp) + 5) * 1000);
    for (const header of [`Bearer ${token}`, `bearer  ${token}`, ` BEARER ${token} `]) {
      expect(await authenticator.identify(header)).toEqual({ owner: 'ada', expiresAt });
    }
  });

  test('may be for several audiences, and a moment older than it says', async () => {
    expect(await identify(await sign({ ...claimsOf('ada', -1), aud: ['other', AUDIENCE] }))).toMatchObject({
      owner: 'ada',
    });
  });

  test.each([undefined, '', 'Bearer', 'Basic YTpi', 'Bearer a b', 'token'])('is missing in %j', async (header) => {
    const message = expect.stringContaining('send one: Authorization: Bearer TOKEN');
    await expect(authenticator.identify(header)).rejects.toEqual(refusal('MISSING', message));
  });

  test('has expired after its exp', async () => {
    const expired = refusal('EXPIRED', 'the token has expired; get a new one');
    await expect(identify(await sign(claimsOf('ada', -6)))).rejects.toEqual(expired);
  });

  const now = Math.floor(Date.now() / 1000);
  test.each<[string, Partial<JWTPayload>, string]>([
    ['another issuer', { iss: 'https://evil.example' }, 'unexpected "iss" claim value'],
    ['no issuer', { iss: undefined }, 'missing required "iss" claim'],
    ['another audience', { aud: 'another' }, 'unexpected "aud" claim value'],
    ['no audience', { aud: undefined }, 'missing required "aud" claim'],
    ['no end', { exp: undefined }, 'missing required "exp" claim'],
    ['an end that is no number', { exp: `${now + 60}` as unknown as number }, '"exp" claim must be a number'],
    ['a beginning in the future', { nbf: now + 60 }, '"nbf" claim timestamp check failed'],
    ['no subject', { sub: undefined }, 'missing required "sub" claim'],
    ['an empty subject', { sub: '' }, 'its sub has to be 1 to 255 characters'],
    ['a subject with a NUL', { sub: 'ada\0' }, 'its sub has to be 1 to 255 characters'],
    ['a subject with half a character', { sub: 'ada\ud83d' }, 'its sub has to be 1 to 255 characters'],
    ['a long subject', { sub: 'a'.repeat(256) }, 'its sub has to be 1 to 255 characters'],
    ['a subject that is no string', { sub: 1 as unknown as string }, 'its sub has to be 1 to 255 characters'],
  ])('is refused with %s', async (_what, change, problem) => {
    const message = expect.stringContaining(`the token is not valid; ${problem}`);
    await expect(identify(await sign({ ...claimsOf('ada'), ...change }))).rejects.toEqual(refusal('INVALID', message));
  });

  test.each<[string, () => string | Promise<string>]>([
    ['of another secret', () => sign(claimsOf('ada'), `${SECRET}.`)],
    ['of another algorithm', () => sign(claimsOf('ada'), SECRET.repeat(2), 'HS512')],
    ['of none', () => unsigned(claimsOf('ada'))],
    ['that was changed', async () => `${(await sign(claimsOf('ada'))).slice(0, -4)}AAAA`],
    ['that is no token', () => 'nonsense'],
    ['that looks like one', () => 'e30.e30.e30'],
  ])('is refused with a signature %s', async (_what, make) => {
    const message = 'the token is not valid; it was not signed for this server';
    await expect(identify(await make())).rejects.toEqual(refusal('INVALID', message));
  });
});

describe('a token signed with a published key', () => {
  let issuer: Server;
  let url: URL;
  let published: object[] = [];
  let status = 200;
  let keys: { privateKey: CryptoKey; publicKey: CryptoKey };

  beforeAll(async () => {
    keys = await generateKeyPair('ES256', { extractable: true });
    issuer = createServer((_request, response) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: published })),
    );
    issuer.listen(0, '127.0.0.1');
    await once(issuer, 'listening');
    url = new URL(`http://127.0.0.1:${(issuer.address() as AddressInfo).port}/keys`);
    published = [{ ...(await exportJWK(keys.publicKey)), kid: 'one' }];
  });
  afterAll(() => void issuer.close());

  function signed(key: CryptoKey, kid: string): Promise<string> {
    return new SignJWT(claimsOf('ada')).setProtectedHeader({ alg: 'ES256', kid }).sign(key);
  }

  test('is taken, and one of a key that is not published is not', async () => {
    const authenticator = new TokenAuthenticator({ ...RULES, key: url });
    const identify = (token: string) => authenticator.identify(`Bearer ${token}`);
    expect(await identify(await signed(keys.privateKey, 'one'))).toMatchObject({ owner: 'ada' });
    await expect(identify(await signed(keys.privateKey, 'two'))).rejects.toEqual(refusal('INVALID'));
    const other = await generateKeyPair('ES256');
    await expect(identify(await signed(other.privateKey, 'one'))).rejects.toEqual(refusal('INVALID'));
  });

  test('is not taken when the public key was used as a secret', async () => {
    const authenticator = new TokenAuthenticator({ ...RULES, key: url });
    const token = await sign(claimsOf('ada'), JSON.stringify(published[0]));
    await expect(authenticator.identify(`Bearer ${token}`)).rejects.toEqual(refusal('INVALID'));
  });

  test('is not called bad when the issuer does not give its keys', async () => {
    const authenticator = new TokenAuthenticator({ ...RULES, key: url });
    const token = await signed(keys.privateKey, 'one');
    status = 500;
    await expect(authenticator.identify(`Bearer ${token}`)).rejects.not.toMatchObject({ code: 'UNAUTHENTICATED' });
    status = 200;
    expect(await authenticator.identify(`Bearer ${token}`)).toMatchObject({ owner: 'ada' });
  });
});

function unsigned(claims: JWTPayload): string {
  const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${encoded({ alg: 'none' })}.${encoded(claims)}.`;
}
