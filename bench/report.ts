import { type QueryResults, REPEATED, TABLES } from './queries.js';
import { medianSeconds, type Results, type SetResults } from './results.js';
import { greatest, median, quantile } from './statistics.js';
import { table } from './table.js';
import { isMet, type Target, targetsOf } from './targets.js';

/** Under which circumstances it was measured. */
export interface Circumstances {
  readonly command: string;
  readonly at: Date;
  readonly image: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly postgres: string;
  readonly rounds: number;
}

const NOTES = `## How it is measured

- Every run has a fresh container of the same image with the limits of a replica, and begins when the disk has written
  what the one before has left (sync); the order changes with every round.
- (a): from \`docker run\` to the end of psql. (b) and (c): the file is already in the container, the server is ready and has
  written everything out; psql and pg_restore run in the container, as superuser, over its Unix socket. "stock" is what
  initdb leaves, "our settings" are those of a replica.
- (d): from the first byte of the upload until a subscriber hears READY. As by default, a server has been started when the
  chat was created (REPLICA_WARM=0 in the environment has it started by the upload). Other than (a) to (c), ANALYZE is in.
- What is in the database afterwards is compared: tables, rows, indexes and foreign keys are the same for every run.
- CPU seconds: of everything in the replica's container, from its start to READY; the server's own are not among them.
- API: \`{ chats(first: 1) { totalCount } }\` every 100 ms on one connection that is kept alive, while the restore runs. A
  request that waits for the one before it has its wait counted. All rounds together.
- Memory: resident bytes of the server's process, after a first small restore that is not counted, and at most until
  READY. The worst round.
- Percent: for every event before READY, the distance between its percentage and the share of the time; the worst event.
- ETA: for every event in the second half of the time, but for the last second. An estimate of n seconds, which is rounded
  up, stands for more than n - 1 up to n; its distance from what was truly left, divided by that; the worst event. An event
  without an estimate counts as 0 seconds.
- Reset: resetReplica, after one statement that has written, the first write, which made the copy that the reset uses.
- Small queries: node-postgres on one kept connection, by the road that the server takes to the replica, and runQuery over
  HTTP, one after the other, ${REPEATED} times. "In the server" is \`durationMs\`. The server is a process of its own.
`;

export function report(results: Results, circumstances: Circumstances): string {
  const { command, at, image, cores, memoryBytes, postgres, rounds } = circumstances;
  const { large, small, scaled, queries } = results;
  const sections = [
    '# Benchmark',
    `\`${command}\`, ${at.toISOString().slice(0, 10)}: ${cores} cores, ${mebibytes(memoryBytes)} for each container, ` +
      `image ${image} with PostgreSQL ${postgres}, Node ${process.versions.node}. Medians of ${rounds} round${rounds === 1 ? '' : 's'}.`,
    ...[large, small].flatMap((set) => (set ? [sectionOf(set, cores)] : [])),
    ...(scaled ? [sectionOf(scaled, cores)] : []),
    ...(queries ? [sectionOfQueries(queries)] : []),
    `## Targets\n\n${table(['target', 'demanded', 'measured', ''], targetsOf(results, cores).map(targetRow))}`,
    NOTES,
  ];
  return sections.join('\n\n');
}

function sectionOf(set: SetResults, cores: number): string {
  const { data, series, replichatSeconds } = set;
  const rows = series.map((one) => {
    const seconds = medianSeconds(one);
    return [
      `(${one.way.letter}) ${one.way.name}`,
      number(seconds),
      one.runs.map((run) => number(run.seconds)).join(', '),
      number(replichatSeconds && seconds / replichatSeconds),
    ];
  });
  const parts = [
    `## ${data.name}`,
    `A plain dump of ${megabytes(data.plainBytes)}: ${data.contents}.`,
    table(['way', 'seconds', 'each round', '/ (d)'], rows),
  ];
  if (set.facts.length > 0) parts.push(table(['of Replichat', ''], factRows(set, cores)));
  return parts.join('\n\n');
}

function sectionOfQueries({ queries, tables }: QueryResults): string {
  const rows = queries.map(({ sql, direct, service, http }) => {
    const [straight, served, answered] = [median(direct), median(service), median(http)];
    return [`\`${sql}\``, ...[straight, served, answered, served - straight, answered - straight].map(number)];
  });
  const head = [
    'query',
    'node-postgres',
    'runQuery in the server',
    'over HTTP',
    'added in the server',
    'added over HTTP',
  ];
  return [
    '## Small queries',
    'Medians in milliseconds.',
    table(head, rows),
    `Everything about ${TABLES} tables by \`Replica.tables\`: ${number(median(tables))} ms.`,
  ].join('\n\n');
}

function factRows(set: SetResults, cores: number): string[][] {
  const { facts } = set;
  const latencies = facts.flatMap((fact) => fact.latencies);
  const ms = (share: number) => `${number(quantile(latencies, share))} ms`;
  const largest = facts.toSorted((a, b) => b.mostBytes - b.idleBytes - (a.mostBytes - a.idleBytes))[0];
  const reset = median(facts.map((fact) => fact.resetSeconds));
  return [
    ['CPU seconds of the container', number(median(facts.map((fact) => fact.cpuSeconds)))],
    ['wall / (CPU seconds / cores)', number(set.overCpu(cores))],
    ['API p50, p99, max', `${ms(0.5)}, ${ms(0.99)}, ${ms(1)} (${latencies.length} requests)`],
    [
      'memory idle, most, growth',
      largest
        ? [largest.idleBytes, largest.mostBytes, largest.mostBytes - largest.idleBytes].map(megabytes).join(', ')
        : '-',
    ],
    ['status events', String(median(facts.map((fact) => fact.statusEvents)))],
    [
      'percent, farthest from the share of the time',
      `${number(greatest(facts.map((fact) => fact.percentDeviation)))} points`,
    ],
    ['ETA, farthest from the time left', percentage(greatest(facts.map((fact) => fact.etaError)))],
    ['first write, which waits for the copy', `${number(median(facts.map((fact) => fact.firstWriteSeconds)))} s`],
    ['reset', `${number(reset)} s, ${number(set.replichatSeconds && reset / set.replichatSeconds)} of the restore`],
  ];
}

function targetRow(target: Target): string[] {
  const { name, least, most, unit, measured } = target;
  const demanded = least === undefined ? `at most ${most}` : `at least ${least}`;
  const met = isMet(target);
  return [
    name,
    `${demanded} ${unit}`.trim(),
    measured === undefined ? '-' : `${number(measured)} ${unit}`.trim(),
    met === undefined ? 'not measured' : met ? 'met' : 'missed',
  ];
}

function number(value: number | undefined): string {
  if (value === undefined) return '-';
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function percentage(share: number | undefined): string {
  return share === undefined ? '-' : `${number(share * 100)} %`;
}

function megabytes(bytes: number): string {
  return `${number(bytes / 1e6)} MB`;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
