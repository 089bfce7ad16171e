import { clampBounds, clampSize } from './bounds';
import type { Point, Rect, Size } from './types';

const STEP: Point = { x: 28, y: 36 };

/** Where a new window goes: a little above the middle, each one stepping off those that are already there. */
export function cascade(size: Size, taken: readonly Rect[], area: Size): Rect {
  const { width, height } = clampSize(size, area);
  const home: Point = {
    x: Math.max(0, Math.round((area.width - width) / 2)),
    y: Math.max(0, Math.round((area.height - height) / 2.6)),
  };
  let place = home;
  // Each step either finds a free corner or moves on; more steps than windows can't all be taken.
  for (let step = 0; step <= taken.length; step += 1) {
    if (!taken.some((rect) => Math.abs(rect.x - place.x) < 16 && Math.abs(rect.y - place.y) < 16)) break;
    place = { x: place.x + STEP.x, y: place.y + STEP.y };
    if (place.x + width > area.width || place.y + height > area.height) {
      place = { x: Math.min(home.x, 24 + (step % 4) * STEP.x), y: Math.min(home.y, 24) };
    }
  }
  return clampBounds({ ...place, width, height }, area);
}
