import { CloudOff, LayoutGrid, Moon, RefreshCw, Sun } from 'lucide-react';
import { useEffect, useState } from 'react';
import { useShallow } from 'zustand/shallow';
import { MicroGraphs } from '@/apps/monitor/micro';
import { AppIcon, cx, IconButton, Tooltip } from '@/components';
import type { Desktop } from '@/sync/desktop';
import { resolvedTheme, toggleTheme, useTheme } from '@/theme';
import { processColor } from '@/theme/process';
import { useIsFocused, useWindow } from '@/windows/store/selectors';
import { useWindows, type WindowsStore } from '@/windows/store/windows';
import { Sessions } from './Sessions';
import { useShell } from './state';

/** Windows of this workspace, those of one app beside each other, in the order in which they were opened. */
function shownIds(state: WindowsStore): string[] {
  const here = state.order.flatMap((id) => {
    const window = state.windows[id];
    return window && window.workspace === state.workspace ? [window] : [];
  });
  const apps = [...new Set(here.map((window) => window.manifestId))];
  return apps.flatMap((app) => here.filter((window) => window.manifestId === app).map((window) => window.id));
}

export function Taskbar({ desktop }: { desktop: Desktop }) {
  const ids = useWindows(useShallow(shownIds));
  const setLauncher = useShell((state) => state.setLauncher);
  const launcher = useShell((state) => state.launcher);
  return (
    <nav
      data-testid="taskbar"
      aria-label="Taskbar"
      className="fixed inset-x-0 bottom-0 z-40 flex h-12 items-center gap-2 border-t border-(--line) bg-(--bar) px-2 backdrop-blur-xl"
    >
      <IconButton
        label="Launcher"
        icon={LayoutGrid}
        keys={['Ctrl+K']}
        tipSide="top"
        size={36}
        iconSize={20}
        aria-expanded={launcher}
        onClick={() => setLauncher(!launcher)}
      />
      <ul className="flex min-w-0 flex-1 items-center gap-1 overflow-hidden">
        {ids.map((id) => (
          <Task key={id} id={id} />
        ))}
      </ul>
      <div className="hidden md:block">
        <MicroGraphs />
      </div>
      <Connection desktop={desktop} />
      <Sessions />
      <ThemeButton />
      <Clock />
    </nav>
  );
}

function Task({ id }: { id: string }) {
  const window = useWindow(id);
  const focused = useIsFocused(id);
  if (!window) return null;
  const away = window.state === 'minimized';
  const press = () => {
    const store = useWindows.getState();
    if (focused && !away) store.minimize(id);
    else store.focus(id);
  };
  return (
    <li className="min-w-9 max-w-44 flex-[0_1_176px]">
      <Tooltip label={away ? `${window.title} (minimised)` : window.title} side="top">
        <button
          type="button"
          data-task={id}
          data-state={window.state}
          aria-pressed={focused}
          aria-label={window.title}
          onClick={press}
          style={{ '--process': processColor(window.pid) } as React.CSSProperties}
          className={cx(
            'relative flex h-9 w-full items-center gap-2 rounded-md px-2 text-left outline-offset-[-2px]',
            'after:absolute after:inset-x-2 after:bottom-0 after:h-0.5 after:rounded-full after:bg-(--process)',
            focused
              ? 'bg-(--active) text-(--text)'
              : 'text-(--text-muted) after:opacity-50 hover:bg-(--hover) hover:text-(--text)',
            away && 'after:inset-x-4',
          )}
        >
          <AppIcon name={window.icon} className="shrink-0" />
          <span className="truncate text-[12px]">{window.title}</span>
        </button>
      </Tooltip>
    </li>
  );
}

function Connection({ desktop }: { desktop: Desktop }) {
  const { status, queued, retry } = desktop;
  if (status === 'offline' || status === 'error') {
    return (
      <button
        type="button"
        data-testid="offline"
        onClick={retry}
        className="flex h-8 items-center gap-2 rounded-md bg-(--warning-soft) px-2 text-[12px] text-(--text)"
      >
        <CloudOff size={16} strokeWidth={1.75} aria-hidden />
        Offline{queued > 0 ? `, ${queued} to save` : ''}. Try again
      </button>
    );
  }
  if (queued === 0) return null;
  return (
    <span role="img" className="text-(--text-faint)" aria-label={`${queued} changes on their way`}>
      <RefreshCw size={14} strokeWidth={1.75} aria-hidden />
    </span>
  );
}

function ThemeButton() {
  const theme = useTheme((state) => state.theme);
  const dark = resolvedTheme(theme) === 'dark';
  return (
    <IconButton
      label={dark ? 'Light look' : 'Dark look'}
      icon={dark ? Sun : Moon}
      tipSide="top"
      onClick={toggleTheme}
    />
  );
}

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const date = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short' });

function Clock() {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    // On the minute, so that it is never a minute late.
    const wait = () => {
      timer = setTimeout(tick, 60_000 - (Date.now() % 60_000) + 20);
    };
    const tick = () => {
      setNow(new Date());
      wait();
    };
    wait();
    return () => clearTimeout(timer);
  }, []);
  return (
    <time
      dateTime={now.toISOString()}
      className="shrink-0 px-2 text-right text-[12px] leading-4 whitespace-nowrap tabular-nums"
    >
      <span className="block font-semibold">{time.format(now)}</span>
      <span className="block text-(--text-muted)">{date.format(now)}</span>
    </time>
  );
}
