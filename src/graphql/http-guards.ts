import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

const HOST = /^(?:\[(?<v6>[0-9a-f:.]+)\]|(?<name>[a-z0-9._-]+))(?::\d{1,5})?$/;

/**
 * Whether the Host header names this server. A page of an attacker whose name has been rebound to 127.0.0.1 comes with
 * the attacker's name; an address or localhost cannot be rebound.
 */
export function isAllowedHost(host: string | undefined, allowedHosts: readonly string[]): boolean {
  const { v6, name } = HOST.exec(host?.toLowerCase() ?? '')?.groups ?? {};
  if (v6 !== undefined) return isIP(v6) === 6;
  if (name === undefined) return false;
  return isIP(name) === 4 || isLocalhost(name) || allowedHosts.some((allowed) => allowed.toLowerCase() === name);
}

/**
 * Whether a page of this origin may use the API: the server's own pages, any page served from this machine, and the
 * listed origins. No Origin header: not a browser, or a browser's same-origin GET.
 */
export function isAllowedOrigin(request: IncomingMessage, allowedOrigins: readonly string[]): boolean {
  const { origin, host } = request.headers;
  if (origin === undefined || allowedOrigins.includes(origin)) return true;
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return false;
  return url.host === host?.toLowerCase() || ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
}

/** The same rule as Apollo's csrfPrevention, for requests that must be refused before Apollo sees them. */
export function isPreflighted(request: IncomingMessage): boolean {
  return Boolean(request.headers['apollo-require-preflight'] || request.headers['x-apollo-operation-name']);
}

function isLocalhost(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost');
}
