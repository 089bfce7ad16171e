import type { WindowModel } from './core/types';

/** A window for tests and stories. */
export function fakeWindow(id: string, over: Partial<WindowModel> = {}): WindowModel {
  const bounds = over.bounds ?? { x: 80, y: 60, width: 640, height: 420 };
  const state = over.state ?? 'normal';
  return {
    id,
    appId: `app-${id}`,
    manifestId: 'notes',
    title: `Window ${id}`,
    icon: 'notebook-pen',
    pid: 7,
    bounds,
    restoreBounds: bounds,
    state,
    restoreState: state === 'minimized' ? 'normal' : state,
    snap: null,
    z: 1,
    workspace: 0,
    parentId: null,
    version: 1,
    minSize: { width: 320, height: 200 },
    ...over,
  };
}
