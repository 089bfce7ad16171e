import { type FocusEvent, type RefObject, useLayoutEffect, useRef } from 'react';

/**
 * Where the keyboard goes as what it stands on goes away: to the box itself, never to the next button, which somebody
 * would press who means the last one. When the box goes away, back to where it was before.
 */
export function useKeyboard(box: RefObject<HTMLElement | null>) {
  const inside = useRef(false);
  const before = useRef<HTMLElement | null>(null);
  useLayoutEffect(() => {
    const { current } = box;
    if (inside.current && current !== null && !current.contains(document.activeElement)) {
      current.focus({ preventScroll: true });
    }
  });
  useLayoutEffect(
    () => () => {
      if (inside.current && before.current?.isConnected === true)
        before.current.focus({ preventScroll: true });
      inside.current = false;
    },
    [],
  );
  const isInside = (target: EventTarget | null): boolean =>
    target instanceof Node && box.current?.contains(target) === true;
  return {
    onFocus: ({ relatedTarget }: FocusEvent) => {
      if (relatedTarget instanceof HTMLElement && !isInside(relatedTarget)) before.current = relatedTarget;
      inside.current = true;
    },
    onBlur: ({ relatedTarget }: FocusEvent) => {
      // Nothing has it if the whole page lost it, or what had it went away.
      if (relatedTarget !== null) inside.current = isInside(relatedTarget);
      else inside.current = isInside(document.activeElement);
    },
  };
}
