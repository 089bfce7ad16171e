import { clampBounds, rounded } from './bounds';
import { zoneRect } from './snap';
import type { Point, Rect, RestoreState, Size, SnapTarget, WindowModel } from './types';
import { isCompact, pageArea, workArea } from './viewport';

/** Where a window in its state belongs on this page. Normal ones come from restoreBounds, so that a page
 *  which was small for a while gives them their size back. */
export function placeOn(page: Size, window: WindowModel): Rect {
  const area = workArea(page);
  if (isCompact(page) && showsAs(window) !== 'fullscreen') return area;
  switch (showsAs(window)) {
    case 'maximized':
      return area;
    case 'fullscreen':
      return pageArea(page);
    case 'snapped':
      if (window.snap) return zoneRect(window.snap, area);
      break;
    case 'normal':
      break;
  }
  return clampBounds(window.restoreBounds, area, window.minSize);
}

/** A minimised window's state is the one it comes back as. */
export function showsAs(window: Pick<WindowModel, 'state' | 'restoreState'>): RestoreState {
  return window.state === 'minimized' ? window.restoreState : window.state;
}

/** Takes in a window from elsewhere. Its restoreBounds count even for a normal one: where it stood last may have been
 *  a smaller page than ours. */
export function adopt(window: WindowModel, page: Size): WindowModel {
  const settled: WindowModel = {
    ...window,
    restoreState: window.state === 'minimized' ? window.restoreState : window.state,
    snap: showsAs(window) === 'snapped' ? window.snap : null,
  };
  return placed(settled, page);
}

export function placed(window: WindowModel, page: Size): WindowModel {
  return { ...window, bounds: placeOn(page, window) };
}

export function moved(window: WindowModel, to: Point, page: Size): WindowModel {
  return resized(window, { ...window.bounds, ...to }, page);
}

/** A window that is moved or resized by hand is a normal one from then on. */
export function resized(window: WindowModel, to: Rect, page: Size): WindowModel {
  const bounds = clampBounds(rounded(to), workArea(page), window.minSize);
  return { ...window, state: 'normal', restoreState: 'normal', snap: null, bounds, restoreBounds: bounds };
}

export function snapped(window: WindowModel, target: SnapTarget, page: Size): WindowModel {
  const state = target === 'maximize' ? 'maximized' : 'snapped';
  const snap = target === 'maximize' ? null : target;
  return placed({ ...window, state, restoreState: state, snap }, page);
}

export function minimized(window: WindowModel): WindowModel {
  if (window.state === 'minimized') return window;
  return { ...window, state: 'minimized', restoreState: window.state };
}

export function fullscreen(window: WindowModel, page: Size): WindowModel {
  return placed({ ...window, state: 'fullscreen', restoreState: 'fullscreen', snap: null }, page);
}

/** One step back: from minimised to what it was, from anything else to normal. */
export function restored(window: WindowModel, page: Size): WindowModel {
  if (window.state === 'minimized') return placed({ ...window, state: window.restoreState }, page);
  return placed({ ...window, state: 'normal', restoreState: 'normal', snap: null }, page);
}

/** A snapped window that is dragged away gets its own size back, and stays under the pointer. */
export function detached(window: WindowModel, pointer: Point, page: Size): Rect {
  const area = workArea(page);
  const size = clampBounds(window.restoreBounds, area, window.minSize);
  const share = (pointer.x - window.bounds.x) / Math.max(1, window.bounds.width);
  return {
    x: Math.round(pointer.x - share * size.width),
    y: window.bounds.y,
    width: size.width,
    height: size.height,
  };
}
