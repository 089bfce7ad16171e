import type { RunningApp, WindowChange } from '@/api/app';
import type { WindowModel } from '@/windows/core/types';

/** A window as the window manager keeps it, from what the server says of its app. */
export function toWindow(app: RunningApp): WindowModel {
  return {
    id: app.window_id,
    appId: app.id,
    manifestId: app.manifest_id,
    title: app.title,
    icon: app.icon,
    pid: app.pid,
    bounds: {
      x: app.window_pos.x,
      y: app.window_pos.y,
      width: app.window_size.width,
      height: app.window_size.height,
    },
    restoreBounds: { ...app.restore_bounds },
    state: app.window_state,
    restoreState: app.restore_state,
    snap: app.snap,
    z: app.z,
    workspace: app.workspace,
    parentId: app.parent_id,
    version: app.version,
    minSize: { ...app.min_size },
  };
}

/** What the server is told of a window. Whole numbers only. */
export function toChange(window: WindowModel): WindowChange {
  const round = Math.round;
  return {
    window_id: window.id,
    position: { x: round(window.bounds.x), y: round(window.bounds.y) },
    size: { width: round(window.bounds.width), height: round(window.bounds.height) },
    z: window.z,
    state: window.state,
    snap: window.snap,
    restore_state: window.restoreState,
    restore_bounds: {
      x: round(window.restoreBounds.x),
      y: round(window.restoreBounds.y),
      width: round(window.restoreBounds.width),
      height: round(window.restoreBounds.height),
    },
    workspace: window.workspace,
  };
}

/** The app again, with the window as the window manager has it. */
export function withWindow(app: RunningApp, window: WindowModel): RunningApp {
  const change = toChange(window);
  return {
    ...app,
    window_pos: change.position,
    window_size: change.size,
    window_state: window.state,
    restore_state: window.restoreState,
    restore_bounds: change.restore_bounds ?? app.restore_bounds,
    snap: window.snap,
    z: window.z,
    workspace: window.workspace,
  };
}

/** Whether two changes put a window in the same place; the order of keys doesn’t count. */
export function sameChange(one: WindowChange, other: WindowChange): boolean {
  const flat = (change: WindowChange): unknown[] => [
    change.position.x,
    change.position.y,
    change.size.width,
    change.size.height,
    change.z,
    change.state,
    change.snap ?? null,
    change.restore_state,
    change.restore_bounds?.x,
    change.restore_bounds?.y,
    change.restore_bounds?.width,
    change.restore_bounds?.height,
    change.workspace,
  ];
  const left = flat(one);
  const right = flat(other);
  return left.every((value, at) => Object.is(value, right[at]));
}
