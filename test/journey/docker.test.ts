import { describe, test } from '@jest/globals';
import Dockerode from 'dockerode';
import { archivesOf } from '../support/archives.js';
import { dockerAvailable, testImage } from '../support/docker.js';
import { describeJourney } from './journey.js';

if (await dockerAvailable()) {
  const docker = new Dockerode();
  describeJourney('docker', {
    env: { REPLICA_ENGINE: 'docker', REPLICA_IMAGE: (await testImage()) as string },
    archivesOf,
    async leftovers(instance) {
      const containers = await docker.listContainers({
        all: true,
        filters: { label: [`replichat.instance=${instance}`] },
      });
      return containers.flatMap(({ Names }) => Names);
    },
  });
} else {
  describe.skip('a dump on engine docker', () => {
    test('needs Docker', () => {});
  });
}
