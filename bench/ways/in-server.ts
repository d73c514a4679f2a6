import { contentsOf, type DataSet } from '../dataset.js';
import { BenchError } from '../errors.js';
import type { Lab, LabContainer, Settings } from '../lab.js';
import type { Measured, Way } from './way.js';

const SETTINGS: Record<Settings, string> = { stock: 'stock', ours: 'our settings' };

/** psql in the container, as superuser over the Unix socket, into a server that is ready. */
export function psql(lab: Lab, settings: Settings): Way {
  return {
    letter: 'b',
    name: `psql -f, ${SETTINGS[settings]}`,
    measure: ({ plain }) => measure(lab, settings, plain, ['psql', '-X', '-q', '-d', 'postgres', '-f']),
  };
}

/** The same with pg_restore and the custom format. */
export function pgRestore(lab: Lab, settings: Settings, jobs: number): Way {
  return {
    letter: 'c',
    name: `pg_restore -j ${jobs}, ${SETTINGS[settings]}`,
    measure: ({ archive }) => measure(lab, settings, archive, ['pg_restore', '-j', String(jobs), '-d', 'postgres']),
  };
}

/** The clock is the container's own, so that Docker's exec takes no time of it. */
const TIMED = `
begin=$EPOCHREALTIME
"$@" >/dev/null
code=$?
echo $begin $EPOCHREALTIME
exit $code
`;

function measure(lab: Lab, settings: Settings, file: DataSet['plain'], command: string[]): Promise<Measured> {
  return lab.withServer(settings, async (container) => {
    await container.copyIn(file, '/dump');
    await settle(container);
    const [begin, end] = (await container.run(TIMED, ...command, '/dump')).split(' ').map(Number);
    const seconds = Number(end) - Number(begin);
    if (!(seconds > 0)) throw new BenchError('the container has no clock: REPLICA_IMAGE needs bash 5 or newer');
    return { seconds, contents: await contentsOf(container) };
  });
}

/** What initdb and the copy have left to write is not the restore's. */
async function settle(container: LabContainer): Promise<void> {
  await container.run('psql -X -q -d postgres -c CHECKPOINT && sync');
}
