import type { Rect, Size } from './types';

export const TASKBAR_HEIGHT = 48;
export const TITLE_BAR_HEIGHT = 36;

/** Where windows live: the page without the taskbar. Its top-left corner is the page's. */
export function workArea(page: Size): Rect {
  return {
    x: 0,
    y: 0,
    width: Math.max(1, Math.round(page.width)),
    height: Math.max(1, Math.round(page.height) - TASKBAR_HEIGHT),
  };
}

/** Narrower than two of the smallest windows side by side. */
const COMPACT_BELOW = 640;

/** On a phone or a sliver of a page there is room for one window, which fills it. */
export function isCompact(page: Size): boolean {
  return page.width < COMPACT_BELOW;
}

export function pageArea(page: Size): Rect {
  return {
    x: 0,
    y: 0,
    width: Math.max(1, Math.round(page.width)),
    height: Math.max(1, Math.round(page.height)),
  };
}
