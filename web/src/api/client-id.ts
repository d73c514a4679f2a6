import { useRef } from 'react';

/** By which the server knows again what is sent once more: the same until it is known to have arrived, or is changed. */
export function useClientId() {
  const latest = useRef({ content: '', id: '' });
  const idOf = (content: string): string => {
    if (latest.current.content !== content) latest.current = { content, id: newClientId() };
    return latest.current.id;
  };
  const arrived = () => {
    latest.current = { content: '', id: '' };
  };
  return { idOf, arrived };
}

function newClientId(): string {
  // randomUUID is for pages of https: and localhost only.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
