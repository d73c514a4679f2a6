import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { ownPort } from './ports.js';

/** A port that leads to a server, until the line is cut. */
export class Line {
  readonly #sockets = new Set<Socket>();
  #server: Server;

  private constructor(
    readonly port: number,
    server: Server,
    private target: number,
  ) {
    this.#server = server;
    server.on('connection', (socket) => this.#forward(socket));
  }

  static async to(target: number): Promise<Line> {
    const port = await ownPort();
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    return new Line(port, server, target);
  }

  /** Ends every connection, and refuses new ones. */
  async cut(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  /** Listens again, perhaps for another server. */
  async mend(target = this.target): Promise<void> {
    this.target = target;
    this.#server = createServer((socket) => this.#forward(socket)).listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  #forward(socket: Socket): void {
    const onward = connect(this.target, '127.0.0.1');
    for (const [end, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      this.#sockets.add(end);
      end.on('error', () => {});
      end.once('close', () => {
        this.#sockets.delete(end);
        other.destroy();
      });
      end.pipe(other);
    }
  }
}
