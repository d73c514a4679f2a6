import { describe, test } from '@jest/globals';
import Dockerode from 'dockerode';
import { dockerAvailable, testImage } from '../support/docker.js';
import { describeJourney } from './journey.js';

if (await dockerAvailable()) {
  const docker = new Dockerode();
  describeJourney('docker', {
    env: { REPLICA_ENGINE: 'docker', REPLICA_IMAGE: (await testImage()) as string },
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
