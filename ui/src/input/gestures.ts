/** What fingers and pens do, told from the points they pass: pure, so that it can be tested without any. */

export interface Sample {
  x: number;
  y: number;
  /** Milliseconds. */
  at: number;
}

export type SwipeDirection = 'left' | 'right' | 'up' | 'down';

export const SWIPE_DISTANCE = 48;
export const SWIPE_MS = 500;
export const TAP_DISTANCE = 10;
export const DOUBLE_TAP_MS = 320;
export const LONG_PRESS_MS = 480;

export function distance(a: Sample, b: Sample): number {
  return Math.hypot(b.x - a.x, b.y - a.y);
}

/** A quick stroke that clearly goes one way; null for anything slower, shorter or slanted. */
export function swipeOf(start: Sample, end: Sample): SwipeDirection | null {
  const dx = end.x - start.x;
  const dy = end.y - start.y;
  if (end.at - start.at > SWIPE_MS || Math.max(Math.abs(dx), Math.abs(dy)) < SWIPE_DISTANCE) return null;
  if (Math.abs(dx) >= 2 * Math.abs(dy)) return dx < 0 ? 'left' : 'right';
  if (Math.abs(dy) >= 2 * Math.abs(dx)) return dy < 0 ? 'up' : 'down';
  return null;
}

export function isTap(start: Sample, end: Sample): boolean {
  return end.at - start.at < LONG_PRESS_MS && distance(start, end) <= TAP_DISTANCE;
}

/** Whether this tap, after that one, makes a double tap. */
export function isDoubleTap(previous: Sample | null, tap: Sample): boolean {
  return (
    previous !== null && tap.at - previous.at <= DOUBLE_TAP_MS && distance(previous, tap) <= 3 * TAP_DISTANCE
  );
}
