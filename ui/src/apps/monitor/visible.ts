import { type RefObject, useEffect, useRef, useState } from 'react';

/** Whether an element can be seen just now: the tab is in front and the element isn’t hidden. */
export function useVisible<T extends Element>(): [RefObject<T | null>, boolean] {
  const element = useRef<T>(null);
  const [inView, setInView] = useState(true);
  const [inFront, setInFront] = useState(() => document.visibilityState !== 'hidden');
  useEffect(() => {
    const change = (): void => setInFront(document.visibilityState !== 'hidden');
    document.addEventListener('visibilitychange', change);
    const { current } = element;
    if (current === null || !('IntersectionObserver' in globalThis)) {
      return () => document.removeEventListener('visibilitychange', change);
    }
    const observer = new IntersectionObserver((entries) => {
      const last = entries.at(-1);
      if (last !== undefined) setInView(last.isIntersecting);
    });
    observer.observe(current);
    return () => {
      document.removeEventListener('visibilitychange', change);
      observer.disconnect();
    };
  }, []);
  return [element, inView && inFront];
}

/** Calls at once and then every `ms`, while `on`; never two at a time. */
export function usePolling(poll: (signal: AbortSignal) => Promise<void>, ms: number, on: boolean): void {
  const latest = useRef(poll);
  useEffect(() => {
    latest.current = poll;
  });
  useEffect(() => {
    if (!on) return;
    const control = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const turn = (): void => {
      latest
        .current(control.signal)
        .catch(() => undefined)
        .finally(() => {
          if (!control.signal.aborted) timer = setTimeout(turn, ms);
        });
    };
    turn();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [ms, on]);
}
