import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port to be left and taken again: the kernel gives those from 32768 on to whoever asks for any, these to nobody. */
export async function ownPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
