import { create } from 'zustand';
import { createJSONStorage, persist } from 'zustand/middleware';

export type ThemeChoice = 'system' | 'light' | 'dark';
export type ContrastChoice = 'system' | 'normal' | 'more';
export const WALLPAPERS = ['dawn', 'tide', 'moss', 'slate'] as const;
export type Wallpaper = (typeof WALLPAPERS)[number];

interface ThemeStore {
  theme: ThemeChoice;
  contrast: ContrastChoice;
  wallpaper: Wallpaper;
  setTheme: (theme: ThemeChoice) => void;
  setContrast: (contrast: ContrastChoice) => void;
  setWallpaper: (wallpaper: Wallpaper) => void;
}

export const useTheme = create<ThemeStore>()(
  persist(
    (set) => ({
      theme: 'system',
      contrast: 'system',
      wallpaper: 'tide',
      setTheme: (theme) => set({ theme }),
      setContrast: (contrast) => set({ contrast }),
      setWallpaper: (wallpaper) => set({ wallpaper }),
    }),
    { name: 'uos.theme', version: 1, storage: createJSONStorage(() => localStorage) },
  ),
);

const media = (query: string) => globalThis.matchMedia?.(query);
const systemDark = () => media('(prefers-color-scheme: dark)')?.matches ?? false;
const systemContrast = () => media('(prefers-contrast: more)')?.matches ?? false;

export function resolvedTheme(theme: ThemeChoice): 'light' | 'dark' {
  if (theme !== 'system') return theme;
  return systemDark() ? 'dark' : 'light';
}

/** Puts the choice on the document, and keeps it there as the choice or the system changes. */
export function applyTheme(): () => void {
  const apply = () => {
    const { theme, contrast, wallpaper } = useTheme.getState();
    Object.assign(document.documentElement.dataset, {
      theme: resolvedTheme(theme),
      contrast: resolvedContrast(contrast),
      wallpaper,
    });
  };
  apply();
  const queries = [media('(prefers-color-scheme: dark)'), media('(prefers-contrast: more)')];
  for (const query of queries) query?.addEventListener('change', apply);
  const stop = useTheme.subscribe(apply);
  return () => {
    stop();
    for (const query of queries) query?.removeEventListener('change', apply);
  };
}

/** Whether there is high contrast, by choice or because the system asks for it. */
export function resolvedContrast(contrast: ContrastChoice): 'normal' | 'more' {
  if (contrast !== 'system') return contrast;
  return systemContrast() ? 'more' : 'normal';
}

export function toggleContrast(): void {
  const { contrast, setContrast } = useTheme.getState();
  setContrast(resolvedContrast(contrast) === 'more' ? 'normal' : 'more');
}

export function toggleTheme(): void {
  const { theme, setTheme } = useTheme.getState();
  setTheme(resolvedTheme(theme) === 'dark' ? 'light' : 'dark');
}
