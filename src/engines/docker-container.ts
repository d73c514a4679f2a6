import { hostname } from 'node:os';
import type Dockerode from 'dockerode';
import { INITDB_ARGUMENTS, scramVerifier, serverSettings } from '../postgres/boot.js';
import { presenceFolder } from './presence.js';

const MiB = 1024 * 1024;

export const LABEL = {
  instance: 'replichat.instance',
  /** Whose replicas outlive the instance: that of the servers that share it. */
  store: 'replichat.store',
  host: 'replichat.host',
  /** As in ReplicaServer.id, whatever the container is called by now. */
  server: 'replichat.server',
  /** Not on a container that was started ahead of need: there the name says it. */
  chat: 'replichat.chat',
  /** In which temp folder that instance says that it lives. */
  presence: 'replichat.presence',
} as const;

const DATA_FOLDER = '/var/lib/postgresql';

/** On the container's tmpfs. */
export const SOCKET_FOLDER = '/tmp';

/** What the boot script says of an image that is no PostgreSQL. */
export const INCOMPLETE_IMAGE = 'replichat: this image lacks';

/**
 * $1 is the admin's SCRAM verifier, the rest are settings. Not the image's own entrypoint: that one wants the password,
 * runs as root, and answers before it is ready. PostgreSQL is not process 1: there it would inherit what is left of a
 * relay, take its death by a signal for a backend's, and restart all sessions.
 */
const BOOT = `
set -eu
umask 077
for bin in /usr/lib/postgresql/*/bin; do PATH=$PATH:$bin; done
for program in initdb postgres; do
  command -v $program >/dev/null || { echo "${INCOMPLETE_IMAGE} $program"; exit 127; }
done
data=${DATA_FOLDER}/replica
verifier=$1
shift
options=
if initdb --help | grep -q -- --no-data-checksums; then options=--no-data-checksums; fi
initdb -D $data --pwfile=<(printf '%s\\n' "$verifier") ${INITDB_ARGUMENTS.join(' ')} --locale=C.UTF-8 $options >/dev/null
printf '%s\\n' "$@" >>$data/postgresql.conf
postgres -D $data &
trap "kill -QUIT $!" TERM INT QUIT
wait $!
`;

export interface ContainerSpec {
  name: string;
  image: string;
  /** What the image wants volumes for. */
  volumes: readonly string[];
  instance: string;
  store?: string | undefined;
  chatId: string | undefined;
  password: string;
  memoryBytes: number;
  cpus: number | undefined;
}

/** "replichat-warm-..." for whom it is not known yet, "replichat-CHAT-..." from then on. */
export function containerName(chatId: string | undefined, id: string): string {
  return `replichat-${chatId ?? 'warm'}-${id.slice(id.lastIndexOf('-') + 1)}`;
}

/** A server that nothing reaches but the Docker Engine, and that reaches nothing. */
export function containerOptions(spec: ContainerSpec): Dockerode.ContainerCreateOptions {
  const settings = serverSettings({
    memoryBytes: spec.memoryBytes,
    listenAddresses: '127.0.0.1',
    unixSocketDirectories: SOCKET_FOLDER,
  });
  const labels = {
    [LABEL.instance]: spec.instance,
    ...(spec.store === undefined ? {} : { [LABEL.store]: spec.store }),
    [LABEL.host]: hostname(),
    [LABEL.server]: spec.name,
    ...(spec.chatId === undefined ? {} : { [LABEL.chat]: spec.chatId }),
    [LABEL.presence]: presenceFolder(),
  };
  // Copied is the owner of the folder, which is empty.
  const volume = { NoCopy: false, Labels: labels, DriverConfig: { Name: 'local', Options: {} } };
  // A volume that Docker makes for itself has no label that says whose it is.
  const unwanted = spec.volumes.filter((folder) => folder !== DATA_FOLDER);
  return {
    name: spec.name,
    Image: spec.image,
    User: '999:999',
    Entrypoint: ['bash', '-c', BOOT, 'boot'],
    Cmd: [scramVerifier(spec.password), ...settings],
    Labels: labels,
    StopSignal: 'SIGQUIT',
    HostConfig: {
      NetworkMode: 'none',
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges:true'],
      ReadonlyRootfs: true,
      Privileged: false,
      IpcMode: 'private',
      Memory: spec.memoryBytes,
      MemorySwap: spec.memoryBytes,
      OomScoreAdj: 500,
      ...(spec.cpus === undefined ? {} : { NanoCpus: Math.round(spec.cpus * 1e9) }),
      CpuShares: 256,
      // A session is a PostgreSQL process and three of its relay, and 40 sessions may be open.
      PidsLimit: 256,
      // PostgreSQL keeps there what the processes of a parallel query share.
      ShmSize: Math.max(64 * MiB, Math.floor(spec.memoryBytes / 4)),
      Ulimits: [
        { Name: 'nofile', Soft: 4096, Hard: 4096 },
        { Name: 'core', Soft: 0, Hard: 0 },
      ],
      Tmpfs: {
        '/tmp': 'rw,noexec,nosuid,nodev,size=64m,mode=1777',
        ...Object.fromEntries(unwanted.map((folder) => [folder, 'ro,noexec,nosuid,nodev,size=4k'])),
      },
      Mounts: [{ Type: 'volume', Source: '', Target: DATA_FOLDER, VolumeOptions: volume }],
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '5m', 'max-file': '1' } },
    },
  };
}
