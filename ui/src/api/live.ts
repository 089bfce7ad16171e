import { useEffect, useRef } from 'react';
import type { EventOf, EventType } from './event';
import { EventStream } from './events';
import { getSystem } from './routes';

/** The one stream of events that this tab listens to. */
export const events = new EventStream({
  // A refused WebSocket doesn’t say why; a request does, and leads to the login page if that is it.
  probe: () => void getSystem().catch(() => undefined),
});

/** Hears events of one type for as long as the component is there. */
export function useEvent<T extends EventType>(type: T, listener: (event: EventOf<T>) => void): void {
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => events.subscribe(type, (event) => latest.current(event)), [type]);
}

/** Told when events were missed: what is shown must be fetched again. */
export function useResync(listener: () => void): void {
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => events.onResync(() => latest.current()), []);
}
