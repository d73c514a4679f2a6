import { useEffect, useRef } from 'react';
import { socket } from './socket.js';

/** What happened while the WebSocket was lost was told to nobody. */
export function useOnReconnect(listener: () => unknown): void {
  const latest = useLatest(listener);
  useEffect(
    () =>
      socket.on('connected', (_socket, _payload, isRetry) => {
        if (isRetry) latest.current();
      }),
    [latest],
  );
}

/** For what other tabs change and no subscription tells. */
export function useOnReturn(listener: () => unknown): void {
  const latest = useLatest(listener);
  useEffect(() => {
    const onChange = () => document.visibilityState === 'visible' && latest.current();
    document.addEventListener('visibilitychange', onChange);
    return () => document.removeEventListener('visibilitychange', onChange);
  }, [latest]);
}

function useLatest<T>(value: T): { readonly current: T } {
  const latest = useRef(value);
  latest.current = value;
  return latest;
}
