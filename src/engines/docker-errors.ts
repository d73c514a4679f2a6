import type Dockerode from 'dockerode';
import { messageOf, ReplichatError } from '../domain/errors.js';

const UNREACHABLE = new Set([
  'ENOENT',
  'ECONNREFUSED',
  'ECONNRESET',
  'EACCES',
  'EPERM',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ETIMEDOUT',
  'EAI_AGAIN',
]);

/** The HTTP status that the Docker Engine has answered with. */
export function statusOf(error: unknown): number | undefined {
  return (error as { statusCode?: number } | undefined)?.statusCode;
}

/** What the Docker Engine itself said, without dockerode's preface. */
export function reasonOf(error: unknown): string {
  const said = (error as { json?: { message?: unknown } } | undefined)?.json?.message;
  return (typeof said === 'string' ? said : messageOf(error)).trim();
}

export function isUnreachable(error: unknown): boolean {
  return UNREACHABLE.has(String((error as NodeJS.ErrnoException | undefined)?.code));
}

export function unreachable(docker: Dockerode, cause: unknown): ReplichatError {
  return unavailable(
    `no Docker Engine answers at ${address(docker)} (${messageOf(cause)}): start one, point DOCKER_HOST at it, ` +
      'or set REPLICA_ENGINE=embedded',
    cause,
  );
}

export function unavailable(message: string, cause?: unknown): ReplichatError {
  return new ReplichatError('ENGINE_UNAVAILABLE', message, {}, { cause });
}

function address({ modem }: Dockerode): string {
  const { host, port, socketPathCache, socketPath } = modem as unknown as Record<string, unknown>;
  if (host) return port ? `${host}:${port}` : String(host);
  return String(socketPathCache ?? (typeof socketPath === 'string' ? socketPath : 'its default socket'));
}
