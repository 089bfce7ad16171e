import { create } from 'zustand';
import { recentWindows } from '@/windows/store/selectors';
import { useWindows } from '@/windows/store/windows';

interface ShellStore {
  launcher: boolean;
  shortcuts: boolean;
  /** What is open at the right of the taskbar. */
  tray: string | null;
  /** The windows to switch between, the one in front first; null while nobody switches. */
  switching: { ids: string[]; at: number } | null;
  setLauncher: (open: boolean) => void;
  setShortcuts: (open: boolean) => void;
  setTray: (name: string | null) => void;
  /** Goes on to the next or the previous window, and begins with that if need be. */
  step: (by: 1 | -1) => void;
  choose: () => void;
  cancel: () => void;
}

export const useShell = create<ShellStore>()((set, get) => ({
  launcher: false,
  shortcuts: false,
  tray: null,
  switching: null,
  setLauncher: (launcher) => set({ launcher }),
  setShortcuts: (shortcuts) => set({ shortcuts }),
  setTray: (tray) => set({ tray }),
  step: (by) => {
    const now = get().switching ?? {
      ids: recentWindows(useWindows.getState()).map((window) => window.id),
      at: 0,
    };
    if (now.ids.length === 0) return;
    set({ switching: { ids: now.ids, at: (now.at + by + now.ids.length) % now.ids.length } });
  },
  choose: () => {
    const { switching } = get();
    if (switching === null) return;
    set({ switching: null });
    const id = switching.ids[switching.at];
    if (id !== undefined) useWindows.getState().focus(id);
  },
  cancel: () => set({ switching: null }),
}));
