import { type RefObject, useEffect, useLayoutEffect, useReducer, useRef, useState } from 'react';

/** How long something must have stood where it is before a press on it is meant for it. */
export const STILL_MS = 400;

/** Draws again whenever what is in a box may stand somewhere else. */
export function useMoves(box: RefObject<HTMLElement | null>): void {
  const [, moved] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const { current } = box;
    if (current === null) return;
    const sizes = new ResizeObserver(moved);
    sizes.observe(current);
    for (const child of current.children) sizes.observe(child);
    current.addEventListener('scroll', moved, { passive: true });
    window.addEventListener('resize', moved);
    return () => {
      sizes.disconnect();
      current.removeEventListener('scroll', moved);
      window.removeEventListener('resize', moved);
    };
  }, [box]);
}

/** Counts how often the page, or what lies under a menu or a dialog, came back into view: what was there meanwhile is
 *  new to whoever looks now. */
function useReturns(): number {
  const [returns, returned] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    // The click that brings a window to the front is also one on the page.
    window.addEventListener('focus', returned);
    document.addEventListener('visibilitychange', returned);
    // Where all that comes up over the desktop is put.
    const over = new MutationObserver(returned);
    over.observe(document.body, { childList: true });
    return () => {
      over.disconnect();
      window.removeEventListener('focus', returned);
      document.removeEventListener('visibilitychange', returned);
    };
  }, []);
  return returns;
}

function placeOf(element: HTMLElement | null): string {
  if (element === null) return '';
  const { left, top, width, height } = element.getBoundingClientRect();
  return `${left} ${top} ${width} ${height}`;
}

export interface Still {
  /** Whether it has stood where it is for long enough. */
  still: boolean;
  /** The same, but looks once more. */
  check: () => boolean;
}

/** Whether an element has stood in its place for a while. It looks whenever it draws, so whoever moves it must draw it. */
export function useStill(element: RefObject<HTMLElement | null>): Still {
  const [still, setStill] = useState(false);
  const returns = useReturns();
  const place = useRef('');
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const look = (): boolean => {
    const now = `${placeOf(element.current)} ${returns}`;
    if (now === place.current) return true;
    place.current = now;
    setStill(false);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setStill(true), STILL_MS);
    return false;
  };
  useLayoutEffect(() => {
    look();
  });
  useEffect(
    () => () => {
      clearTimeout(timer.current);
      place.current = '';
    },
    [],
  );
  return { still, check: () => look() && still };
}
