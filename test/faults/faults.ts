/** Every fault that has to be shown: one that nothing has reported is missing in the report. */
export const FAULTS = {
  kill: 'the server is killed (kill -9) in the middle of a restore',
  messages: 'the server is killed (kill -9) while messages are posted',
  instances: 'one of two servers is killed',
  container: "a replica's container is killed",
  memory: 'out of memory',
  disk: 'the disk is full',
  daemon: 'the Docker daemon is stopped and started',
  database: "the server's database is restarted",
  aborted: 'uploads are aborted',
  together: 'many uploads to one chat at once',
  subscribers: 'many subscribers for minutes',
  large: 'a large upload',
  many: 'many replicas side by side',
} as const;

export type Fault = keyof typeof FAULTS;

/** How much of it is done: little in `npm test`, more in `npm run faults`, and as the environment says in both. */
export const SIZES = {
  KILLS: { short: 3, full: 34, what: 'kills of a server in the middle of restores, for each engine' },
  DURABLE_KILLS: { short: 1, full: 32, what: 'the same of a server with DATABASE_URL, on engine docker' },
  MESSAGE_KILLS: { short: 3, full: 100, what: 'kills of a server while messages are posted' },
  UPLOAD_MB: { short: 300, full: 1024, what: 'megabytes of the large upload' },
  ABORTS: { short: 6, full: 100, what: 'uploads that are broken off, for each engine' },
  CONTESTS: { short: 2, full: 20, what: 'times that 20 uploads go to one chat at once' },
  DATABASE_RESTARTS: { short: 2, full: 20, what: "restarts of the servers' database" },
  TAKEOVERS: { short: 1, full: 20, what: 'kills of one of two servers' },
  SUBSCRIBERS: { short: 60, full: 500, what: 'subscribers' },
  SUBSCRIBED_SECONDS: { short: 3, full: 180, what: 'seconds that they listen, to one server and to two' },
  CONTAINER_KILLS: { short: 2, full: 20, what: 'kills of READY containers, and of restoring ones' },
  MEMORY_BOMBS: { short: 1, full: 10, what: 'dumps, and queries, that take too much memory' },
  DAEMON_STOPS: { short: 1, full: 6, what: 'stops of the Docker daemon, every other one by kill -9, for each store' },
  DISK_FILLS: { short: 1, full: 5, what: 'dumps larger than the disk, for each way to fill it' },
  SOAK_REPLICAS: { short: 6, full: 20, what: 'replicas side by side' },
  SOAK_SECONDS: { short: 20, full: 180, what: 'seconds that they are created, used and deleted' },
} as const;

export function size(name: keyof typeof SIZES): number {
  return Number(process.env[name] ?? SIZES[name].short);
}
