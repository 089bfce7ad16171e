import { useEffect } from 'react';
import { AppIcon, cx } from '@/components';
import { useWindows } from '@/windows/store/windows';
import { useShell } from './state';

/** Shown while Alt or Ctrl is held: let go to choose, Escape to stay. */
export function Switcher() {
  const switching = useShell((state) => state.switching);
  const windows = useWindows((state) => state.windows);
  useEffect(() => {
    if (switching === null) return;
    const { choose, cancel } = useShell.getState();
    const up = (event: KeyboardEvent) => {
      if (event.key === 'Alt' || event.key === 'Control') choose();
    };
    const down = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return;
      event.preventDefault();
      cancel();
    };
    window.addEventListener('keyup', up, true);
    window.addEventListener('keydown', down, true);
    window.addEventListener('blur', cancel);
    return () => {
      window.removeEventListener('keyup', up, true);
      window.removeEventListener('keydown', down, true);
      window.removeEventListener('blur', cancel);
    };
  }, [switching]);
  if (switching === null) return null;
  const shown = switching.ids.map((id) => windows[id]).filter((window) => window !== undefined);
  const chosen = switching.ids[switching.at];
  return (
    <div className="pointer-events-none fixed inset-0 z-80 grid place-items-center p-6">
      <div
        data-testid="switcher"
        role="listbox"
        aria-label="Switch to a window"
        className="flex max-w-full flex-wrap justify-center gap-1 rounded-lg bg-(--overlay) p-3 shadow-focus"
      >
        {shown.map((window) => (
          <div
            key={window.id}
            role="option"
            tabIndex={-1}
            aria-selected={window.id === chosen}
            className={cx(
              'flex w-32 flex-col items-center gap-2 rounded-md px-3 py-4 text-center',
              window.id === chosen
                ? 'bg-(--accent-soft) text-(--text) ring-2 ring-(--accent)'
                : 'text-(--text-muted)',
              window.state === 'minimized' && 'italic',
            )}
          >
            <AppIcon name={window.icon} className="size-6" />
            <span className="w-full truncate text-[12px]">{window.title}</span>
          </div>
        ))}
      </div>
    </div>
  );
}
