import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { newId } from '../../src/domain/ids.js';

const host = process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock';
/** The Docker Engine's; undefined when it is elsewhere. */
export const localSocket = host.startsWith('unix://') ? host.slice('unix://'.length) : undefined;
/** Whether replicas are reached by their Unix sockets, see REPLICA_CONNECT. */
export const reachesSockets = localSocket !== undefined && process.getuid?.() === 0;

/** A way to the Docker Engine that can be interrupted. */
export async function cuttable(target = localSocket as string) {
  const path = join(tmpdir(), `docker-${newId()}.sock`);
  const open = new Set<Socket>();
  let isCut = false;
  const proxy = createServer((near) => {
    if (isCut) return near.destroy();
    const far = connect(target);
    pipeline(near, far, near, () => {});
    open.add(near);
    near.once('close', () => open.delete(near));
  });
  await new Promise<void>((resolve) => proxy.listen(path, resolve));
  return {
    path,
    cut: () => {
      isCut = true;
      for (const socket of open) socket.destroy();
    },
    mend: () => {
      isCut = false;
    },
    close: () => new Promise((resolve) => proxy.close(resolve)),
  };
}
