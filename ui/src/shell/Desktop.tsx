import { Contrast, Keyboard, LayoutGrid, LogOut, Moon } from 'lucide-react';
import { useEffect } from 'react';
import { logout } from '@/api/routes';
import { AppContent } from '@/apps/host';
import { Shield } from '@/apps/Shield';
import { registerCommands, useCommandChords } from '@/commands';
import { windowCommands } from '@/commands/windows';
import { Button, Delayed, ErrorState } from '@/components';
import { Requests } from '@/requests/Requests';
import { type Desktop as Shown, useDesktop } from '@/sync/desktop';
import { resolvedContrast, toggleContrast, toggleTheme, useTheme } from '@/theme';
import { WindowLayer } from '@/windows/components/WindowLayer';
import type { WindowModel } from '@/windows/core';
import { useWindows } from '@/windows/store/windows';
import { Launcher } from './Launcher';
import { Shortcuts } from './Shortcuts';
import { Switcher } from './Switcher';
import { useShell } from './state';
import { Taskbar } from './Taskbar';
import { wallpaperOf } from './wallpaper';

const renderShield = (window: WindowModel) => <Shield appId={window.appId} />;
const renderApp = (window: Parameters<typeof AppContent>[0]['window']) => <AppContent window={window} />;

export function Desktop() {
  const desktop = useDesktop();
  const wallpaper = useTheme((state) =>
    resolvedContrast(state.contrast) === 'more' ? null : state.wallpaper,
  );
  useCommandChords();
  useDesktopCommands(desktop);
  const closeWindow = (id: string) => {
    const window = useWindows.getState().windows[id];
    if (window) void desktop.close(window.appId);
  };
  return (
    <div
      className="fixed inset-0 overflow-hidden bg-(--page)"
      style={wallpaper === null ? {} : { backgroundImage: wallpaperOf(wallpaper) }}
    >
      <main aria-label="Desktop">
        <h1 className="sr-only">uOS desktop</h1>
        <Middle desktop={desktop} />
        <WindowLayer renderApp={renderApp} renderShield={renderShield} onClose={closeWindow} />
      </main>
      <Taskbar desktop={desktop} />
      <Requests />
      <Launcher desktop={desktop} />
      <Shortcuts />
      <Switcher />
    </div>
  );
}

/** What there is to see where no window is. */
function Middle({ desktop }: { desktop: Shown }) {
  const empty = useWindows((state) => state.order.length === 0);
  const setLauncher = useShell((state) => state.setLauncher);
  if (!empty) return null;
  const middle = 'absolute inset-0 bottom-12 grid place-items-center p-6 text-center';
  if (desktop.status === 'error') {
    return (
      <div className={middle}>
        <ErrorState
          title="The desktop could not be fetched."
          hint={desktop.error ?? undefined}
          retry={desktop.retry}
        />
      </div>
    );
  }
  if (desktop.status === 'loading') {
    return (
      <div className={middle}>
        <Delayed>
          <p role="status" className="text-(--text-muted)">
            Fetching the desktop…
          </p>
        </Delayed>
      </div>
    );
  }
  return (
    <div className={middle}>
      <div className="flex flex-col items-center gap-3">
        <p className="text-(--text-muted)">Nothing is open.</p>
        <Button icon={LayoutGrid} onClick={() => setLauncher(true)}>
          Find an app
        </Button>
      </div>
    </div>
  );
}

function useDesktopCommands({ close }: Shown): void {
  useEffect(() => {
    const { step, setLauncher, setShortcuts } = useShell.getState();
    const closeWindow = (id: string) => {
      const window = useWindows.getState().windows[id];
      if (window) void close(window.appId);
    };
    return registerCommands([
      ...windowCommands({ close: closeWindow, next: () => step(1), previous: () => step(-1) }),
      {
        id: 'desktop.launcher',
        label: 'Find an app, a window or a command',
        group: 'Desktop',
        keys: ['Ctrl+K', 'Ctrl+Space'],
        icon: LayoutGrid,
        keysOnly: true,
        run: () => setLauncher(!useShell.getState().launcher),
      },
      {
        id: 'desktop.shortcuts',
        label: 'Show the keyboard shortcuts',
        group: 'Desktop',
        keys: ['Ctrl+/', 'F1'],
        icon: Keyboard,
        run: () => setShortcuts(!useShell.getState().shortcuts),
      },
      {
        id: 'look.theme',
        label: 'Change between the light and the dark look',
        group: 'Look',
        words: 'theme mode night',
        icon: Moon,
        run: toggleTheme,
      },
      {
        id: 'look.contrast',
        label: 'Change between normal and high contrast',
        group: 'Look',
        words: 'accessibility',
        icon: Contrast,
        run: toggleContrast,
      },
      {
        id: 'desktop.logout',
        label: 'Log this browser out',
        group: 'System',
        icon: LogOut,
        run: () => void logout().finally(() => location.reload()),
      },
    ]);
  }, [close]);
}
