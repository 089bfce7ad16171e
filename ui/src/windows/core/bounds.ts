import type { Point, Rect, Size } from './types';
import { TITLE_BAR_HEIGHT } from './viewport';

export const MIN_SIZE: Size = { width: 320, height: 200 };
/** The shield and the buttons at the right of a title bar, as wide as fingers need them; a window can't be dragged
 *  by them. */
export const CONTROLS_WIDTH = 184;
/** How much of the part that drags must stay in sight. */
export const GRIP_WIDTH = 64;

export function sameRect(a: Rect, b: Rect): boolean {
  return a.x === b.x && a.y === b.y && a.width === b.width && a.height === b.height;
}

export function rounded(rect: Rect): Rect {
  return {
    x: Math.round(rect.x),
    y: Math.round(rect.y),
    width: Math.round(rect.width),
    height: Math.round(rect.height),
  };
}

export function contains(rect: Rect, point: Point): boolean {
  return (
    point.x >= rect.x && point.x < rect.x + rect.width && point.y >= rect.y && point.y < rect.y + rect.height
  );
}

export function intersection(a: Rect, b: Rect): Rect | null {
  const x = Math.max(a.x, b.x);
  const y = Math.max(a.y, b.y);
  const width = Math.min(a.x + a.width, b.x + b.width) - x;
  const height = Math.min(a.y + a.height, b.y + b.height) - y;
  return width > 0 && height > 0 ? { x, y, width, height } : null;
}

/** The smallest size that a window may have in this area: its own minimum, unless the area is smaller still. */
export function smallest(area: Size, min: Size = MIN_SIZE): Size {
  return {
    width: Math.min(Math.max(min.width, MIN_SIZE.width), area.width),
    height: Math.min(Math.max(min.height, MIN_SIZE.height), area.height),
  };
}

export function clampSize(size: Size, area: Size, min: Size = MIN_SIZE): Size {
  const least = smallest(area, min);
  return {
    width: between(least.width, Math.round(size.width), area.width),
    height: between(least.height, Math.round(size.height), area.height),
  };
}

/** Puts a window where it can be taken by its title bar again, and nowhere else if it already could. */
export function clampBounds(rect: Rect, area: Size, min: Size = MIN_SIZE): Rect {
  const { width, height } = clampSize(rect, area, min);
  const drag = width - CONTROLS_WIDTH;
  // So narrow that nothing could be spared: keep all of it in sight.
  const lowest = drag < GRIP_WIDTH ? 0 : GRIP_WIDTH - drag;
  const highest = drag < GRIP_WIDTH ? area.width - width : area.width - GRIP_WIDTH;
  return {
    // What had to be cut to fit is shown whole.
    x: rect.width > area.width ? 0 : between(lowest, Math.round(rect.x), highest),
    y:
      rect.height > area.height
        ? 0
        : between(0, Math.round(rect.y), Math.max(0, area.height - TITLE_BAR_HEIGHT)),
    width,
    height,
  };
}

function between(low: number, value: number, high: number): number {
  return Math.max(low, Math.min(Number.isFinite(value) ? value : low, high)) + 0;
}
