import type { Request } from 'express';

/** Of a page that runs its own scripts only and asks nobody but this server; `pictures` are where its images may be from. */
export function pageHeaders(request: Request, pictures = "'self' data:"): Record<string, string> {
  return {
    'content-security-policy': contentSecurityPolicy(request.headers.host ?? '', pictures),
    'cache-control': 'no-cache',
    'referrer-policy': 'no-referrer',
  };
}

/** The host has passed the Host check. Not every browser counts WebSockets of the own origin as 'self'. */
function contentSecurityPolicy(host: string, pictures: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    // CodeMirror and the dialogs of GraphiQL set styles.
    "style-src 'self' 'unsafe-inline'",
    `img-src ${pictures}`,
    "font-src 'self' data:",
    `connect-src 'self' ws://${host} wss://${host}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
