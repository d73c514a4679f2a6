import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { messageOf, ReplichatError } from '../domain/errors.js';
import type { ReplicaService } from '../services/replicas.js';
import { CancelKeys } from './cancel-keys.js';
import { type CancelGreeting, greet, type SessionGreeting } from './greeting.js';
import { cancelBytes, Fatal, fromBytewise, SQLSTATE, type Startup, startupBytes, toBytewise } from './messages.js';
import { destroyLater, hangUp, Session } from './session.js';

export interface GatewayOptions {
  readonly replicas: ReplicaService;
  readonly logger: Logger;
  /** Address to listen on. */
  readonly host: string;
  /** 0 for a free one, auto for DEFAULT_PORT or, when that is taken, a free one. */
  readonly port: number | 'auto';
  /** How clients reach it, when not by `host`. */
  readonly clientHost: string | undefined;
  readonly secureContext: SecureContext | undefined;
  readonly maxConnections: number;
  /** How long a client may take to say what it wants, and then to be let in. PostgreSQL's authentication_timeout. */
  readonly startMs?: number;
}

/** Beside PostgreSQL's own, which is often there. */
const DEFAULT_PORT = 5433;
const START_MS = 60_000;
/** A client that is told nothing anyway: PostgreSQL, with the same time limit, should have its say first. */
const GRACE_MS = 5_000;
/** Beyond the limit, for those who are told that it is reached, and for requests to cancel. */
const SPARE_CONNECTIONS = 100;
const KEEP_ALIVE_MS = 60_000;

/**
 * The port for PostgreSQL's clients. The user name `role.chat` selects the replica, and everything from there on is
 * between the client and the replica: the gateway knows no password.
 */
export class Gateway {
  readonly #options: GatewayOptions;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  /** Those of them that have not said yet what they want. */
  readonly #greeting = new Set<Socket>();
  readonly #sessions = new Set<Session>();
  readonly #cancelKeys = new CancelKeys();

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS });
    this.#server.maxConnections = options.maxConnections + SPARE_CONNECTIONS;
    this.#server.on('connection', (socket) => this.#accept(socket));
  }

  async listen(): Promise<void> {
    const { host, port } = this.#options;
    try {
      await listen(this.#server, port === 'auto' ? DEFAULT_PORT : port, host);
    } catch (error) {
      if (port !== 'auto') throw error;
      await listen(this.#server, 0, host);
    }
    // One connection that cannot be accepted, for want of a file descriptor say, does not end the others.
    this.#server.on('error', (error) => this.#options.logger.warn({ err: error }, 'a client could not be accepted'));
  }

  /** What clients connect to; undefined while it does not listen. */
  get address(): { host: string; port: number } | undefined {
    const address = this.#server.address() as AddressInfo | null;
    if (!address) return undefined;
    const isAnywhere = address.address === '0.0.0.0' || address.address === '::';
    return { host: this.#options.clientHost ?? (isAnywhere ? 'localhost' : address.address), port: address.port };
  }

  /** Ends every session, with a word to its client. */
  async close(): Promise<void> {
    if (this.#server.listening) this.#server.close();
    for (const socket of this.#greeting) socket.destroy();
    await Promise.all([...this.#sessions].map((session) => session.end('the server is shutting down')));
  }

  #accept(socket: Socket): void {
    this.#connections.add(socket);
    let stream = socket;
    const onStream = (own: Socket) => {
      stream = own;
      stream.on('error', (error) => this.#note(error));
    };
    onStream(socket);
    socket.once('close', () => this.#connections.delete(socket));
    this.#serve(socket, onStream).catch((error) => {
      this.#note(error);
      if (error instanceof Fatal) stream.write(error.toBytes());
      hangUp(stream);
    });
  }

  /** Throws Fatal when there is something to be said to the client. */
  async #serve(socket: Socket, onStream: (stream: Socket) => void): Promise<void> {
    const greeting = await this.#greet(socket, onStream);
    if (greeting.type === 'cancel') await this.#cancel(greeting);
    else this.#begin(greeting);
  }

  async #greet(socket: Socket, onStream: (stream: Socket) => void): Promise<SessionGreeting | CancelGreeting> {
    const deadline = setTimeout(() => socket.destroy(), this.#startMs);
    this.#greeting.add(socket);
    try {
      return await greet(socket, this.#options.secureContext, onStream);
    } finally {
      clearTimeout(deadline);
      this.#greeting.delete(socket);
    }
  }

  /** As PostgreSQL does it: an unknown key is ignored, and the end of the connection says that it has been done. */
  async #cancel({ stream, key }: CancelGreeting): Promise<void> {
    const target = this.#cancelKeys.find(key);
    if (target) {
      const server = await target.server.open();
      server.on('error', (error) => this.#note(error)).resume();
      server.write(cancelBytes(target.key));
      // Not when the client goes: some do so at once.
      destroyLater(server);
      await once(server, 'close');
    }
    hangUp(stream);
  }

  #begin({ stream, startup }: SessionGreeting): void {
    if (this.#connections.size > this.#options.maxConnections) {
      const hint = 'Close some, or raise GATEWAY_MAX_CONNECTIONS.';
      throw new Fatal(SQLSTATE.tooManyConnections, 'sorry, too many clients already', hint);
    }
    const login = loginOf(startup);
    const session = new Session(stream);
    this.#sessions.add(session);
    session.closed.then(() => this.#sessions.delete(session));
    this.#connect(session, login, startup).catch((error) => {
      this.#note(error);
      session.endWith(fatalOf(error, login));
    });
  }

  async #connect(session: Session, { role, chatId }: Login, startup: Startup): Promise<void> {
    const { server, tenant } = await this.#options.replicas.join(chatId, session);
    const stream = await server.open();
    if (session.hasEnded) return void stream.destroy();
    const asked = startup.parameters.get('database');
    // libpq asks for a database with the name of the user when it is told none.
    const database = asked && asked !== startup.parameters.get('user') ? asked : toBytewise(tenant.database);
    const parameters = new Map([...startup.parameters, ['user', role], ['database', database]]);
    session.begin(stream, startupBytes({ ...startup, parameters }), (key) => {
      const issued = this.#cancelKeys.issue(server, key);
      session.closed.then(() => this.#cancelKeys.forget(issued));
      return issued;
    });
    const deadline = setTimeout(() => session.hasBegun || session.cutOff(), this.#startMs + GRACE_MS);
    session.closed.then(() => clearTimeout(deadline));
  }

  get #startMs(): number {
    return this.#options.startMs ?? START_MS;
  }

  #note(error: Error): void {
    this.#options.logger.debug({ err: error }, 'a session of a PostgreSQL client ended early');
  }
}

interface Login {
  /** Bytewise. */
  readonly role: string;
  readonly chatId: string;
  readonly user: string;
}

/** Roles may have dots, ids of chats have none. Throws Fatal. */
function loginOf({ parameters }: Startup): Login {
  const user = parameters.get('user');
  if (!user) throw new Fatal(SQLSTATE.invalidAuthorization, 'no PostgreSQL user name specified in startup packet');
  const dot = user.lastIndexOf('.');
  const login = { role: user.slice(0, dot), chatId: user.slice(dot + 1), user: fromBytewise(user) };
  if (dot < 1) throw noReplica(login);
  return login;
}

function noReplica({ user }: Pick<Login, 'user'>): Fatal {
  const hint = 'Connect with what the query credentials(chatId, target: REPLICA) gives; its user is role.chatId.';
  return new Fatal(SQLSTATE.invalidAuthorization, `there is no replica for user "${user}"`, hint);
}

const SQLSTATE_OF_QUOTA: Record<string, string> = {
  disk: SQLSTATE.diskFull,
  sessions: SQLSTATE.tooManyConnections,
};

/** The message of a ReplichatError ends with its remedy. */
function fatalOf(error: unknown, login: Login): Fatal {
  if (!(error instanceof ReplichatError)) {
    return new Fatal(SQLSTATE.cannotConnectNow, `the replica cannot be reached: ${messageOf(error)}`, 'Try again.');
  }
  if (error.code === 'NOT_FOUND') return noReplica(login);
  const [message = '', remedy] = error.message.split(/; (.*)/s);
  const sqlstate = SQLSTATE_OF_QUOTA[String(error.facts.quota)] ?? SQLSTATE.cannotConnectNow;
  return new Fatal(sqlstate, message, remedy && sentence(remedy));
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

async function listen(server: Server, port: number, host: string): Promise<void> {
  server.listen(port, host);
  await once(server, 'listening');
}
