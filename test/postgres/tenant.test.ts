import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Dockerode from 'dockerode';
import pg from 'pg';
import { pino } from 'pino';
import { newId } from '../../src/domain/ids.js';
import { DockerEngine } from '../../src/engines/docker.js';
import { clientConfig } from '../../src/postgres/connect.js';
import { Admin, createAllowedExtension, createTenant, isAllowedExtension } from '../../src/postgres/tenant.js';
import { dockerAvailable, testImage } from '../support/docker.js';

/** One that only a superuser may create and that lets its tables be dumped, as PostGIS does; under an allowed name. */
const EXTENSION = `
cd /usr/share/postgresql/*/extension
echo "default_version = '1'" > vector.control
cat > vector--1.sql <<'END'
CREATE TABLE dumped (id serial, a text);
CREATE TABLE internal (a text);
INSERT INTO dumped (a) VALUES ('comes with it');
SELECT pg_extension_config_dump('dumped', 'WHERE id > 1');
SELECT pg_extension_config_dump('dumped_id_seq', '');
END
`;
const MiB = 2 ** 20;

const docker = new Dockerode();
const describeHere = (await dockerAvailable()) ? describe : describe.skip;

describeHere("an extension that the administrator creates for the chat's role", () => {
  const image = `replichat-test-extension:${newId().toLowerCase()}`;
  let engine: DockerEngine;

  beforeAll(async () => {
    const container = await docker.createContainer({
      Image: (await testImage()) as string,
      User: '0:0',
      Entrypoint: ['bash', '-euc', EXTENSION],
      HostConfig: { NetworkMode: 'none' },
    });
    try {
      await container.start();
      expect(await container.wait()).toMatchObject({ StatusCode: 0 });
      const [repo, tag] = image.split(':');
      await container.commit({ repo, tag });
    } finally {
      await container.remove({ force: true, v: true });
    }
    const logger = pino({ level: 'silent' });
    engine = new DockerEngine({ instance: newId(), image, defaultMajor: 17, memoryBytes: 256 * MiB, logger });
  });
  afterAll(async () => {
    await engine?.close();
    await docker
      .getImage(image)
      .remove({ force: true })
      .catch(() => {});
  });

  test('takes the rows that a dump has for its tables, and no others', async () => {
    const signal = AbortSignal.timeout(200_000);
    const server = await engine.provision({ chatId: newId(), majorVersion: undefined, signal, onProgress: () => {} });
    const admin = await Admin.connect(server);
    const tenant = await createTenant(admin, server, { user: 'app', database: 'shop' });
    expect(isAllowedExtension('vector')).toBe(true);
    await createAllowedExtension(server, tenant, 'vector', undefined);
    const session = new pg.Client(clientConfig(server, tenant));
    await session.connect();
    try {
      await session.query("INSERT INTO dumped VALUES (2, 'mine')");
      await session.query("SELECT setval('dumped_id_seq', 2)");
      expect((await session.query('SELECT id FROM dumped')).rows).toEqual([{ id: 1 }, { id: 2 }]);
      await expect(session.query("INSERT INTO internal VALUES ('x')")).rejects.toMatchObject({ code: '42501' });
      await expect(session.query('DROP EXTENSION vector')).rejects.toMatchObject({ code: '42501' });
    } finally {
      await admin.end();
      await session.end();
    }
  });
});
