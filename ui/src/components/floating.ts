/** Where tips and menus are put: a landmark of the page of its own, beside the desktop and its windows. */
export const FLOATING = 'floating';

/** Nothing until the page stands, and in tests of single parts: then they go to the end of the document. */
export function floating(): HTMLElement | undefined {
  return document.getElementById(FLOATING) ?? undefined;
}

/** For what closes: focus goes back where it was, unless it has gone somewhere else meanwhile, such as a dialog that
 *  opened in the same moment. */
export function keepFocus(event: Event): void {
  const { activeElement, body } = document;
  if (activeElement !== null && activeElement !== body) event.preventDefault();
}
