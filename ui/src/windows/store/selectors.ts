import { useShallow } from 'zustand/shallow';
import { frontToBack } from '../core/order';
import type { WindowModel } from '../core/types';
import { useWindows, type WindowsStore } from './windows';

/** One window and nothing else: no other window's change re-renders its subscriber. */
export function useWindow(id: string): WindowModel | undefined {
  return useWindows((state) => state.windows[id]);
}

export function useWindowIds(): readonly string[] {
  return useWindows((state) => state.order);
}

export function useIsFocused(id: string): boolean {
  return useWindows((state) => state.focused === id);
}

export function useFocusedWindow(): WindowModel | undefined {
  return useWindows(focusedWindow);
}

export function focusedWindow(state: WindowsStore): WindowModel | undefined {
  return state.focused === null ? undefined : state.windows[state.focused];
}

/** The front one first, of this workspace; minimised ones too. */
export function recentWindows(state: WindowsStore): WindowModel[] {
  return frontToBack(Object.values(state.windows)).filter((window) => window.workspace === state.workspace);
}

export interface WindowGroup {
  manifestId: string;
  icon: string;
  windows: WindowModel[];
}

/** Windows by app, in the order in which the apps were first opened. */
export function groupedWindows(state: WindowsStore): WindowGroup[] {
  const groups = new Map<string, WindowGroup>();
  for (const id of state.order) {
    const window = state.windows[id];
    if (!window || window.workspace !== state.workspace) continue;
    const group = groups.get(window.manifestId);
    if (group) group.windows.push(window);
    else
      groups.set(window.manifestId, { manifestId: window.manifestId, icon: window.icon, windows: [window] });
  }
  return [...groups.values()];
}

/** What a list of windows shows: it does not change while one is moved. */
export function useWindowTitles(): { id: string; title: string; icon: string; manifestId: string }[] {
  const flat = useWindows(
    useShallow((state: WindowsStore) =>
      recentWindows(state).flatMap((window) => [window.id, window.title, window.icon, window.manifestId]),
    ),
  );
  const titles = [];
  for (let at = 0; at < flat.length; at += 4) {
    const [id, title, icon, manifestId] = flat.slice(at, at + 4) as [string, string, string, string];
    titles.push({ id, title, icon, manifestId });
  }
  return titles;
}

export function coversTaskbar(state: WindowsStore): boolean {
  const window = focusedWindow(state);
  return window?.state === 'fullscreen' && window.workspace === state.workspace;
}
