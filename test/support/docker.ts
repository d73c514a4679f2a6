import Dockerode from 'dockerode';
import { messageOf } from '../../src/domain/errors.js';

/** A PostgreSQL image that the Docker Engine has: REPLICA_IMAGE, or the first of postgres:* and replichat-postgres:15. */
export async function testImage(docker = new Dockerode()): Promise<string | undefined> {
  if (process.env.REPLICA_IMAGE) return process.env.REPLICA_IMAGE;
  const tags = (await docker.listImages()).flatMap((image) => image.RepoTags ?? []);
  const name = (tag: string) => tag.replace(/^(docker\.io\/(library\/)?|localhost\/)/, '');
  return (
    tags.find((tag) => /^postgres:\d+/.test(name(tag)) && !tag.includes('alpine')) ??
    tags.find((tag) => name(tag) === 'replichat-postgres:15')
  );
}

/** False, with a line that says why, on a laptop without Docker; an error where REQUIRE_DOCKER=1 demands it. */
export async function dockerAvailable(): Promise<boolean> {
  const problem = await whatIsMissing();
  if (!problem) return true;
  if (process.env.REQUIRE_DOCKER === '1') throw new Error(`REQUIRE_DOCKER=1, but ${problem}`);
  process.stderr.write(`skipping what needs Docker: ${problem}\n`);
  return false;
}

async function whatIsMissing(): Promise<string | undefined> {
  try {
    const docker = new Dockerode();
    await docker.ping();
    return (await testImage(docker))
      ? undefined
      : 'the Docker Engine has no PostgreSQL image: .ci/postgres-image makes one';
  } catch (error) {
    return `no Docker Engine answers: ${messageOf(error)}`;
  }
}
