export interface Connection {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
}

/** The parts of postgres://user:password@host:port/database that are there; undefined when it is no such URI. */
export function parseConnectionUri(text: string): Partial<Connection> | undefined {
  const rest = /^\s*postgres(?:ql)?:\/\/(\S*)\s*$/i.exec(text)?.[1];
  // An http: URL is parsed the same way in every browser.
  if (rest === undefined || !URL.canParse(`http://${rest}`)) return undefined;
  const { hostname, port, username, password, pathname } = new URL(`http://${rest}`);
  const parts = {
    host: decode(hostname).replace(/^\[(.*)\]$/, '$1'),
    // An http: URL does not show its default port.
    port: port === '' ? (/:80(?:[/?#]|$)/.test(rest) ? 80 : undefined) : Number(port),
    user: decode(username),
    password: decode(password),
    database: decode(pathname.slice(1)),
  };
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== '' && value !== undefined));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
