import type { Point, Rect, Size, SnapTarget } from './types';

/** How near the pointer must come to an edge. */
const EDGE = 14;
/** How far along an edge its corner reaches: a fifth, but never so far that the edge itself is hard to hit. */
const CORNER_SHARE = 0.2;
const CORNER_MOST = 160;

/** Halves and quarters that tile the area exactly: where a side is odd, the left and the top get the pixel. */
export function zoneRect(zone: SnapTarget, area: Size): Rect {
  const left = Math.ceil(area.width / 2);
  const top = Math.ceil(area.height / 2);
  const x = zone === 'right' || zone === 'top_right' || zone === 'bottom_right' ? left : 0;
  const y = zone === 'bottom_left' || zone === 'bottom_right' ? top : 0;
  const wide = zone === 'maximize';
  const tall = wide || zone === 'left' || zone === 'right';
  return {
    x,
    y,
    width: wide ? area.width : x === 0 ? left : area.width - left,
    height: tall ? area.height : y === 0 ? top : area.height - top,
  };
}

/** Where a window lands when it is let go with the pointer here. */
export function zoneAt(pointer: Point, area: Size): SnapTarget | null {
  const cornerX = Math.min(area.width * CORNER_SHARE, CORNER_MOST);
  const cornerY = Math.min(area.height * CORNER_SHARE, CORNER_MOST);
  const atLeft = pointer.x < EDGE;
  const atRight = pointer.x >= area.width - EDGE;
  const atTop = pointer.y < EDGE;
  const atBottom = pointer.y >= area.height - EDGE;
  if (atLeft || atRight) {
    const side = atLeft ? 'left' : 'right';
    if (pointer.y < cornerY) return `top_${side}`;
    if (pointer.y >= area.height - cornerY) return `bottom_${side}`;
    return side;
  }
  if (atTop || atBottom) {
    const edge = atTop ? 'top' : 'bottom';
    if (pointer.x < cornerX) return `${edge}_left`;
    if (pointer.x >= area.width - cornerX) return `${edge}_right`;
    return atTop ? 'maximize' : null;
  }
  return null;
}
