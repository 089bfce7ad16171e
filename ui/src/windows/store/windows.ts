import { create } from 'zustand';
import { clampBounds, sameRect } from '../core/bounds';
import { frontmost, highestZ } from '../core/order';
import * as step from '../core/transitions';
import {
  type Point,
  type Rect,
  type Size,
  type SnapTarget,
  type WindowModel,
  WORKSPACES,
} from '../core/types';
import { workArea } from '../core/viewport';
import { useDrag } from './drag';
import { emitSettled, type SettledWhy } from './settled';

export interface WindowsStore {
  windows: Readonly<Record<string, WindowModel>>;
  /** In the order of opening, and never another: moving a frame in the document would reload what it holds. */
  order: readonly string[];
  focused: string | null;
  page: Size;
  workspace: number;

  open: (window: WindowModel) => void;
  replaceAll: (windows: readonly WindowModel[]) => void;
  remove: (id: string) => void;
  /** Takes what the server has; a window under the hand keeps its place. */
  applyRemote: (window: WindowModel) => void;
  /** The server took what was sent: only the version follows. */
  acknowledge: (id: string, version: number) => void;
  setDirty: (id: string, dirty: boolean) => void;

  move: (id: string, to: Point) => void;
  resize: (id: string, to: Rect) => void;
  snap: (id: string, target: SnapTarget) => void;
  /** Gives a snapped window that is being dragged away its own size; settles with the drag. */
  detach: (id: string, pointer: Point) => void;
  /** Where a drag ended. */
  drop: (id: string, to: Point) => void;
  focus: (id: string) => void;
  blur: () => void;
  minimize: (id: string) => void;
  restore: (id: string) => void;
  toggleMaximize: (id: string) => void;
  toggleFullscreen: (id: string) => void;
  sendToWorkspace: (id: string, workspace: number) => void;
  setWorkspace: (workspace: number) => void;
  /** To the one beside it, and no further than the last. */
  stepWorkspace: (by: 1 | -1) => void;
  setViewport: (page: Size) => void;
  settle: (id: string, why: SettledWhy) => void;
}

const pageNow = (): Size => ({ width: globalThis.innerWidth || 1280, height: globalThis.innerHeight || 800 });

export const useWindows = create<WindowsStore>()((set, get) => {
  /** Changes one window, leaving all others the same objects; settles it if it did change. */
  function change(id: string, next: (window: WindowModel, page: Size) => WindowModel, why?: SettledWhy) {
    const window = get().windows[id];
    if (!window) return;
    const changed = next(window, get().page);
    if (changed === window || sameWindow(changed, window)) return;
    set((state) => ({ windows: { ...state.windows, [id]: changed } }));
    if (why) emitSettled(changed, why);
  }

  /** The frontmost of those that remain. It is in front already, so nothing is raised and nothing sent. */
  function focusNext() {
    const { windows, workspace } = get();
    set({ focused: frontmost(Object.values(windows), workspace)?.id ?? null });
  }

  return {
    windows: {},
    order: [],
    focused: null,
    page: pageNow(),
    workspace: 0,

    open: (window) =>
      set((state) => ({
        windows: { ...state.windows, [window.id]: step.adopt(window, state.page) },
        order: state.order.includes(window.id) ? state.order : [...state.order, window.id],
        focused: window.state === 'minimized' ? state.focused : window.id,
        workspace: window.state === 'minimized' ? state.workspace : window.workspace,
      })),

    replaceAll: (list) =>
      set((state) => {
        const windows = Object.fromEntries(list.map((window) => [window.id, step.adopt(window, state.page)]));
        const kept = state.order.filter((id) => windows[id]);
        return {
          windows,
          order: [...kept, ...list.map((window) => window.id).filter((id) => !kept.includes(id))],
          focused: frontmost(Object.values(windows), state.workspace)?.id ?? null,
        };
      }),

    remove: (id) => {
      const { windows, order, focused } = get();
      if (!windows[id]) return;
      const { [id]: _gone, ...rest } = windows;
      set({ windows: rest, order: order.filter((other) => other !== id) });
      if (focused === id) focusNext();
    },

    applyRemote: (remote) => {
      const { windows, page, focused } = get();
      const mine = windows[remote.id];
      if (!mine) return get().open(remote);
      let next = step.adopt({ ...(mine.dirty ? { dirty: true } : {}), ...remote }, page);
      if (useDrag.getState().id === remote.id) {
        const { bounds, restoreBounds, state, restoreState, snap } = mine;
        next = { ...next, bounds, restoreBounds, state, restoreState, snap };
      }
      set({ windows: { ...windows, [remote.id]: next } });
      const raised = next.z > mine.z && next.z >= highestZ(Object.values(windows));
      if (raised && next.state !== 'minimized') set({ focused: remote.id });
      else if (focused === remote.id && next.state === 'minimized') focusNext();
    },

    acknowledge: (id, version) => change(id, (window) => ({ ...window, version })),
    setDirty: (id, dirty) => change(id, (window) => ({ ...window, dirty })),

    move: (id, to) => change(id, (window, page) => step.moved(window, to, page), 'move'),
    resize: (id, to) => change(id, (window, page) => step.resized(window, to, page), 'resize'),
    snap: (id, target) =>
      change(
        id,
        (window, page) => step.snapped(window, target, page),
        target === 'maximize' ? 'maximize' : 'snap',
      ),
    detach: (id, pointer) =>
      change(id, (window, page) => {
        const bounds = step.detached(window, pointer, page);
        return { ...window, state: 'normal', restoreState: 'normal', snap: null, bounds };
      }),

    drop: (id, to) => {
      // A drag that detached the window must settle even if it ends where it began.
      change(id, (window, page) => step.moved(window, to, page));
      get().settle(id, 'move');
    },

    focus: (id) => {
      const { windows, focused, page, workspace } = get();
      const window = windows[id];
      if (!window) return;
      const top = highestZ(Object.values(windows).filter((other) => other.id !== id));
      const back = window.state === 'minimized' ? step.restored(window, page) : window;
      const next = window.z > top ? back : { ...back, z: top + 1 };
      if (focused !== id || workspace !== next.workspace) set({ focused: id, workspace: next.workspace });
      if (next === window) return;
      set({ windows: { ...windows, [id]: next } });
      emitSettled(next, back === window ? 'focus' : 'restore');
    },
    blur: () => set({ focused: null }),

    minimize: (id) => {
      change(id, (window) => step.minimized(window), 'minimize');
      if (get().focused === id) focusNext();
    },
    restore: (id) => {
      const window = get().windows[id];
      if (window?.state === 'minimized') get().focus(id);
      else change(id, (current, page) => step.restored(current, page), 'restore');
    },
    toggleMaximize: (id) => {
      if (get().windows[id]?.state === 'maximized') get().restore(id);
      else get().snap(id, 'maximize');
    },
    toggleFullscreen: (id) => {
      if (get().windows[id]?.state === 'fullscreen') get().restore(id);
      else change(id, step.fullscreen, 'fullscreen');
    },

    sendToWorkspace: (id, workspace) => {
      change(id, (window) => ({ ...window, workspace }), 'workspace');
      if (get().focused === id) focusNext();
    },
    setWorkspace: (workspace) => {
      if (workspace === get().workspace) return;
      set({ workspace });
      focusNext();
    },

    stepWorkspace: (by) => {
      const to = get().workspace + by;
      if (to >= 0 && to < WORKSPACES) get().setWorkspace(to);
    },

    setViewport: (page) =>
      set((state) => {
        if (page.width === state.page.width && page.height === state.page.height) return state;
        const windows: Record<string, WindowModel> = {};
        for (const [id, window] of Object.entries(state.windows)) {
          const bounds = step.placeOn(page, window);
          windows[id] = sameRect(bounds, window.bounds) ? window : { ...window, bounds };
        }
        return { page, windows };
      }),

    settle: (id, why) => {
      const window = get().windows[id];
      if (!window) return;
      const { page } = get();
      const bounds =
        window.state === 'normal'
          ? clampBounds(window.bounds, workArea(page), window.minSize)
          : step.placeOn(page, window);
      const next =
        window.state === 'normal' ? { ...window, bounds, restoreBounds: bounds } : { ...window, bounds };
      if (!sameWindow(next, window)) set((state) => ({ windows: { ...state.windows, [id]: next } }));
      emitSettled(next, why);
    },
  };
});

function sameWindow(a: WindowModel, b: WindowModel): boolean {
  return (Object.keys(a) as (keyof WindowModel)[]).every((key) => {
    if (key === 'bounds' || key === 'restoreBounds') return sameRect(a[key], b[key]);
    return a[key] === b[key];
  });
}
