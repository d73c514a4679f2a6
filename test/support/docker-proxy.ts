import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { localSocket } from './wire.js';

/** A way to the Docker Engine for requests that one of these allows, by method; what it did with each is kept. */
export async function dockerProxy(allowed: ReadonlyMap<string, readonly RegExp[]>) {
  const seen: { call: string; rule: RegExp | undefined }[] = [];
  const open = new Set<Socket>();

  function isAllowed({ method = '', url = '' }: IncomingMessage): boolean {
    const path = url.replace(/\?.*/, '');
    const rule = allowed.get(method)?.find((each) => each.test(path));
    seen.push({ call: `${method} ${path}`, rule });
    return rule !== undefined;
  }

  const proxy = createServer((incoming, response) => {
    if (!isAllowed(incoming)) return response.writeHead(403).end();
    const { method, url: path, headers } = incoming;
    const outgoing = request({ socketPath: localSocket, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode as number, answer.headers);
      response.flushHeaders();
      pipeline(answer, response, () => {});
    });
    pipeline(incoming, outgoing, (error) => error && response.destroy());
    response.once('close', () => outgoing.destroy());
  });
  // Exec: from its answer on, bytes go both ways, and either side may end first.
  proxy.on('upgrade', (incoming, near: Socket, head) => {
    if (!isAllowed(incoming)) return near.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    const far = connect({ path: localSocket as string, allowHalfOpen: true });
    const headers = incoming.rawHeaders.map((part, index) => part + (index % 2 === 0 ? ': ' : '\r\n')).join('');
    far.write(`${incoming.method} ${incoming.url} HTTP/1.1\r\n${headers}\r\n`);
    far.write(head);
    near.pipe(far);
    far.pipe(near);
    near.on('error', () => far.destroy()).on('close', () => far.destroy());
    far.on('error', () => near.destroy());
  });
  proxy.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    seen,
    host: `tcp://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    close: async () => {
      for (const socket of open) socket.destroy();
      proxy.close();
      await once(proxy, 'close');
    },
  };
}
