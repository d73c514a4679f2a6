import { makeVar } from '@apollo/client';

/** The one place that knows who the reader is: a token that they paste when the API asks for one. */
const KEY = 'replichat.token';

/** Whether the API has answered UNAUTHENTICATED. */
export const tokenWanted = makeVar(false);

export function keepToken(token: string): void {
  sessionStorage.setItem(KEY, token.trim());
}

/** Goes with every HTTP request as headers and with every WebSocket as its connectionParams. */
export function credentials(): { authorization?: string } {
  const token = sessionStorage.getItem(KEY);
  return token ? { authorization: `Bearer ${token}` } : {};
}
