import { useRef } from 'react';

/** Where tips and menus are put: a landmark of the page of its own, beside the desktop and its windows. */
export const FLOATING = 'floating';

/** Nothing until the page stands, and in tests of single parts: then they go to the end of the document. */
export function floating(): HTMLElement | undefined {
  return document.getElementById(FLOATING) ?? undefined;
}

/** What was to take the focus while something over the desktop had it. */
let waiting: (() => void) | null = null;

/** Gives the focus, but not out of the launcher, a dialog or a list over the desktop, where somebody is typing: then
 *  when that closes. */
export function focusWhenFree(give: () => void): void {
  const over = document.activeElement?.closest('[role="dialog"]:not([data-window-id]), [role="menu"]');
  waiting = over ? give : null;
  if (!over) give();
}

/** For what closes: focus goes back where it was, unless something else waits for it, or has it already, such as a
 *  dialog that opened in the same moment. `back` is where it was, for what doesn’t remember that by itself. */
export function keepFocus(event: Event, back: HTMLElement | null = null): void {
  const give = waiting ?? (back && (() => back.focus({ preventScroll: true })));
  waiting = null;
  const { activeElement, body } = document;
  const taken = activeElement !== null && activeElement !== body;
  if (!taken && give === null) return;
  event.preventDefault();
  if (!taken) give?.();
}

/** For a dialog that no trigger of its own opened: it wouldn’t know where the focus was. */
export function useFocusReturn(): { remember: () => void; onCloseAutoFocus: (event: Event) => void } {
  const before = useRef<HTMLElement | null>(null);
  return {
    remember: () => {
      before.current = document.activeElement as HTMLElement | null;
    },
    onCloseAutoFocus: (event) => keepFocus(event, before.current),
  };
}
