import { Agent, request } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';

/** A thread of its own: what the benchmark is busy with is not taken for the server's slowness. */
export interface ProbeData {
  url: string;
  query: string;
  intervalMs: number;
}

/** 'begin' forgets what was before; 'end' waits for what is under way, and answers with the milliseconds of each. */
export type ProbeOrder = 'begin' | 'end';

const { url, query, intervalMs } = workerData as ProbeData;
const body = JSON.stringify({ query });
const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
// One connection: a request that meets a slow one waits for it, and its wait counts.
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

let latencies: number[] = [];
const pending = new Set<Promise<void>>();

function send(): void {
  const into = latencies;
  const begin = performance.now();
  const answered = new Promise<void>((resolve, reject) => {
    const outgoing = request(url, { method: 'POST', agent, headers }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`the API answered ${response.statusCode}`));
      response.on('end', () => {
        into.push(performance.now() - begin);
        resolve();
      });
      response.on('error', reject).resume();
    });
    outgoing.on('error', reject).end(body);
  });
  pending.add(answered);
  // A rejection is left unhandled, and ends the thread with it.
  void answered.then(() => pending.delete(answered));
}

const timer = setInterval(send, intervalMs);

parentPort?.on('message', async (order: ProbeOrder) => {
  const measured = latencies;
  latencies = [];
  if (order === 'begin') return;
  clearInterval(timer);
  await Promise.all(pending);
  agent.destroy();
  parentPort?.postMessage(measured);
  parentPort?.close();
});
