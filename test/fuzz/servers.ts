import pino from 'pino';
import { newId } from '../../src/domain/ids.js';
import { DockerEngine } from '../../src/engines/docker.js';
import { EmbeddedEngine } from '../../src/engines/embedded.js';
import type { ReplicaEngine, ReplicaServer } from '../../src/ports.js';
import { dockerAvailable, testImage } from '../support/docker.js';

const logger = pino({ level: 'silent' });
const memoryBytes = 256 * 2 ** 20;

export interface Running {
  readonly server: ReplicaServer;
  close(): Promise<void>;
}

export function embeddedServer(): Promise<Running> {
  return start(new EmbeddedEngine({ instance: newId(), memoryBytes, logger }));
}

/** Of a version that pg_dump of this machine may well be as new as; undefined without Docker. */
export async function dockerServer(): Promise<Running | undefined> {
  if (!(await dockerAvailable())) return undefined;
  const image = (await testImage()) as string;
  return start(new DockerEngine({ instance: newId(), image, defaultMajor: 17, memoryBytes, logger }));
}

async function start(engine: ReplicaEngine): Promise<Running> {
  try {
    const signal = AbortSignal.timeout(60_000);
    const server = await engine.provision({ chatId: newId(), majorVersion: undefined, signal, onProgress: () => {} });
    return { server, close: () => engine.close() };
  } catch (error) {
    await engine.close();
    throw error;
  }
}
