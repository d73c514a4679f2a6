import type { Request, RequestHandler, Response } from 'express';
import { refuse } from './error-responses.js';
import { uploadTooLarge } from './errors.js';
import { isPreflighted } from './http-guards.js';
import { MultipartRequest, type UploadLimits } from './multipart.js';

export type { FileUpload, UploadLimits } from './multipart.js';

/** Boundaries and part headers. */
const MULTIPART_OVERHEAD = 64 * 1024;

/** Turns a multipart POST into the JSON body that Apollo expects, an Upload in its variables. */
export function receiveUploads(limits: UploadLimits): RequestHandler {
  return async (request, response, next) => {
    if (request.method !== 'POST' || !request.is('multipart/form-data')) return next();
    if (!isPreflighted(request)) return refuse(response, 400, 'BAD_REQUEST', CSRF_REFUSAL);
    if (isSurelyTooLarge(request, limits)) throw uploadTooLarge(limits.maxUploadBytes);
    const multipart = new MultipartRequest(request, limits, response.locals.bodyDeadline);
    answerWhileReceiving(request, response, multipart);
    request.body = await multipart.read();
    next();
  };
}

const CSRF_REFUSAL =
  'This operation has been blocked as a potential Cross-Site Request Forgery (CSRF): ' +
  'a multipart request needs a header "apollo-require-preflight" or "x-apollo-operation-name".';

function isSurelyTooLarge(request: Request, { maxUploadBytes, maxBodyBytes }: UploadLimits): boolean {
  return Number(request.headers['content-length'] ?? 0) > maxUploadBytes + 2 * maxBodyBytes + MULTIPART_OVERHEAD;
}

/**
 * The mutation answers while its file is still arriving. The answer is written at once, but ends only with the request:
 * undici drops the connection of a request that is answered before it is sent, browsers and proxies do likewise.
 * An error status may end at once, for then it does not matter what becomes of the rest.
 */
function answerWhileReceiving(request: Request, response: Response, multipart: MultipartRequest): void {
  const send = response.send.bind(response);
  response.send = (body: unknown) => {
    multipart.dropUnopened();
    if (request.readableEnded || response.statusCode >= 400 || typeof body !== 'string') return send(body);
    request.once('close', () => response.end());
    response.write(body);
    return response;
  };
}
