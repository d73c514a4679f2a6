import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import WebSocket from 'ws';
import type { ServerProcess } from './server-process.js';

/** What a server has and holds on to, after all garbage has been collected. */
export interface Usage {
  residentBytes: number;
  heapBytes: number;
  /** File descriptors: sockets, pipes, files. */
  descriptors: number;
  sockets: number;
  /** Of all EventEmitters and AbortSignals that are reachable. */
  listeners: number;
}

/** By the inspector of Node (NODE_OPTIONS=--inspect=127.0.0.1:0), without a word in the server's own code. */
export class Inspector {
  #calls = 0;

  private constructor(
    private readonly pid: number,
    private readonly socket: WebSocket,
  ) {}

  static async connect({ pid, output }: ServerProcess): Promise<Inspector> {
    const url = output.map((line) => /^Debugger listening on (ws:\S+)/.exec(line)?.[1]).find(Boolean);
    const socket = new WebSocket(url as string, { maxPayload: 2 ** 26 });
    await once(socket, 'open');
    return new Inspector(pid, socket);
  }

  /** Of the heap and of buffers beside it, when no more of it is given back: what was there before may still be. */
  async heldBytes(): Promise<number> {
    for (let least = Number.POSITIVE_INFINITY; ; ) {
      await this.#call('HeapProfiler.collectGarbage');
      const held = await this.#evaluate('process.memoryUsage().heapUsed + process.memoryUsage().external');
      if (held >= least) return least;
      least = held;
    }
  }

  /** That are open. */
  sockets(): Promise<number> {
    return this.#sum("process.getBuiltinModule('net').Socket.prototype", 'each._handle ? 1 : 0');
  }

  async usage(): Promise<Usage> {
    await this.#call('HeapProfiler.collectGarbage');
    const heapBytes = await this.#evaluate('process.memoryUsage().heapUsed');
    const emitters = "process.getBuiltinModule('events').EventEmitter.prototype";
    const countOfEach = 'each.eventNames().reduce((sum, name) => sum + each.listenerCount(name), 0)';
    const perSignal = "process.getBuiltinModule('events').getEventListeners(each, 'abort').length";
    return {
      heapBytes,
      listeners:
        (await this.#sum(emitters, `each._events ? ${countOfEach} : 0`)) +
        (await this.#sum('AbortSignal.prototype', `each === AbortSignal.prototype ? 0 : ${perSignal}`)),
      sockets: await this.sockets(),
      residentBytes:
        Number(/^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${this.pid}/status`, 'utf8'))?.[1]) * 1024,
      descriptors: (await readdir(`/proc/${this.pid}/fd`)).length,
    };
  }

  close(): void {
    this.socket.close();
  }

  /** Over all objects with this prototype that are reachable. */
  async #sum(prototype: string, ofEach: string): Promise<number> {
    const { result } = await this.#call('Runtime.evaluate', { expression: prototype });
    const { objects } = await this.#call('Runtime.queryObjects', { prototypeObjectId: result.objectId });
    const functionDeclaration = `function () { return this.reduce((sum, each) => sum + (${ofEach}), 0); }`;
    const sum = await this.#call('Runtime.callFunctionOn', { objectId: objects.objectId, functionDeclaration });
    for (const { objectId } of [result, objects]) await this.#call('Runtime.releaseObject', { objectId });
    return sum.result.value;
  }

  async #evaluate(expression: string): Promise<number> {
    return (await this.#call('Runtime.evaluate', { expression })).result.value;
  }

  /** One after the other. */
  // biome-ignore lint/suspicious/noExplicitAny: the protocol's answers are the caller's to know
  async #call(method: string, params: Record<string, unknown> = {}): Promise<any> {
    const id = ++this.#calls;
    this.socket.send(JSON.stringify({ id, method, params }));
    for (;;) {
      const [message] = await once(this.socket, 'message');
      const answer = JSON.parse(String(message));
      if (answer.id !== id) continue;
      if (answer.error || answer.result.exceptionDetails) throw new Error(`${method}: ${message}`);
      return answer.result;
    }
  }
}
