import { X } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { useShallow } from 'zustand/shallow';
import { AppIcon, cx, IconButton, Popover, ProcessMark, Tooltip } from '@/components';
import type { Desktop } from '@/sync/desktop';
import { processColor } from '@/theme/process';
import { groupedWindows, useIsFocused } from '@/windows/store/selectors';
import { useWindows, type WindowsStore } from '@/windows/store/windows';

/** `app/window/window…`, so that it is the same text as long as the same windows stand together. */
const groupKeys = (state: WindowsStore): string[] =>
  groupedWindows(state).map(({ manifestId, windows }) =>
    [manifestId, ...windows.map(({ id }) => id)].join('/'),
  );

/** What a taskbar shows of a window; not where it stands, which changes all the time. */
function useTask(id: string) {
  return useWindows(
    useShallow((state) => {
      const window = state.windows[id];
      return {
        title: window?.title ?? '',
        icon: window?.icon ?? '',
        pid: window?.pid ?? null,
        away: window?.state === 'minimized',
      };
    }),
  );
}

/** Windows of this workspace, those of one app behind one button. */
export function Tasks({ desktop }: { desktop: Desktop }) {
  const keys = useWindows(useShallow(groupKeys));
  return (
    <ul
      aria-label="Windows"
      className="flex min-w-0 flex-1 touch-none max-sm:touch-pan-x items-center gap-1 overflow-x-auto overflow-y-hidden [scrollbar-width:none]"
    >
      {keys.map((key) => {
        const [app = '', ...ids] = key.split('/');
        const only = ids.length === 1 ? ids[0] : undefined;
        return (
          <li key={app} className="max-w-44 min-w-9 flex-[0_1_176px] max-sm:flex-none coarse:min-w-11">
            {only !== undefined ? <Task id={only} /> : <Group app={app} ids={ids} desktop={desktop} />}
          </li>
        );
      })}
    </ul>
  );
}

const face =
  'relative flex h-9 w-full items-center gap-2 rounded-md px-2 max-sm:justify-center text-left outline-offset-[-2px] coarse:h-11';
const line =
  'after:absolute after:inset-x-2 after:bottom-0 after:h-0.5 after:rounded-full after:bg-(--process)';

function Task({ id }: { id: string }) {
  const { title, icon, pid, away } = useTask(id);
  const focused = useIsFocused(id);
  const press = () => {
    const store = useWindows.getState();
    if (focused && !away) store.minimize(id);
    else store.focus(id);
  };
  return (
    <Tooltip label={away ? `${title} (minimised)` : title} side="top">
      <button
        type="button"
        data-task={id}
        data-state={away ? 'minimized' : 'shown'}
        aria-pressed={focused}
        aria-label={away ? `${title}, minimised` : title}
        onClick={press}
        style={{ '--process': processColor(pid) } as React.CSSProperties}
        className={cx(
          face,
          line,
          focused ? 'bg-active text-text' : 'text-muted after:opacity-50 hover:bg-hover hover:text-text',
          away && 'after:inset-x-4',
        )}
      >
        <AppIcon name={icon} />
        <span className="truncate text-sm max-sm:hidden">{title}</span>
      </button>
    </Tooltip>
  );
}

const OPEN_MS = 250;
const CLOSE_MS = 220;

/** Several windows of one app: a list of them comes up under the pointer, or when the button is pressed. */
function Group({ app, ids, desktop }: { app: string; ids: readonly string[]; desktop: Desktop }) {
  const [open, setOpen] = useState(false);
  const byHover = useRef(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const icon = useWindows((state) => state.windows[ids[0] ?? '']?.icon ?? '');
  const pids = useWindows(useShallow((state) => ids.map((id) => state.windows[id]?.pid ?? null)));
  const focused = useWindows((state) => state.focused !== null && ids.includes(state.focused));
  const title = desktop.manifests.find((manifest) => manifest.id === app)?.title ?? app;

  const soon = (shown: boolean) => (event: React.PointerEvent) => {
    if (event.pointerType !== 'mouse') return;
    clearTimeout(timer.current);
    timer.current = setTimeout(
      () => {
        byHover.current = shown;
        setOpen(shown);
      },
      shown ? OPEN_MS : CLOSE_MS,
    );
  };
  const now = (shown: boolean) => {
    clearTimeout(timer.current);
    byHover.current = false;
    setOpen(shown);
  };
  return (
    <Popover
      open={open}
      onOpenChange={now}
      label={`Windows of ${title}`}
      side="top"
      align="start"
      offset={10}
      width={280}
      quiet={byHover.current}
      hover={{ onPointerEnter: soon(true), onPointerLeave: soon(false) }}
      className="rounded-md p-1"
      anchor={
        <button
          type="button"
          data-group={app}
          aria-haspopup="dialog"
          aria-expanded={open}
          onPointerEnter={soon(true)}
          onPointerLeave={soon(false)}
          // A press on a list that came by itself keeps it, and takes the keyboard there.
          onClick={() => now(byHover.current || !open)}
          className={cx(face, focused ? 'bg-active text-text' : 'text-muted hover:bg-hover hover:text-text')}
        >
          <AppIcon name={icon} />
          <span className="truncate text-sm max-sm:sr-only">{title}</span>
          <span aria-hidden="true" className="rounded-sm bg-hover px-1 text-xs tabular sm:ml-auto">
            {ids.length}
          </span>
          <span className="sr-only">{ids.length} windows</span>
          <span aria-hidden="true" className="absolute inset-x-2 bottom-0 flex gap-0.5">
            {pids.map((pid, at) => (
              <span
                key={ids[at]}
                className={cx('h-0.5 flex-1 rounded-full', !focused && 'opacity-50')}
                style={{ background: processColor(pid) }}
              />
            ))}
          </span>
        </button>
      }
    >
      <ul>
        {ids.map((id) => (
          <li key={id}>
            <Listed id={id} desktop={desktop} done={() => now(false)} />
          </li>
        ))}
      </ul>
    </Popover>
  );
}

function Listed({ id, desktop, done }: { id: string; desktop: Desktop; done: () => void }) {
  const { title, pid, away } = useTask(id);
  const focused = useIsFocused(id);
  const close = () => {
    const window = useWindows.getState().windows[id];
    if (window) void desktop.close(window.appId);
  };
  return (
    <div className="flex items-center gap-1">
      <button
        type="button"
        data-task={id}
        aria-current={focused}
        onClick={() => {
          useWindows.getState().focus(id);
          done();
        }}
        className={cx(
          'flex h-8 min-w-0 flex-1 items-center gap-2 rounded-sm px-2 text-left hover:bg-hover coarse:h-11',
          focused && 'bg-accent-soft',
        )}
      >
        <ProcessMark pid={pid} />
        <span className="truncate">{title}</span>
        <span className="ml-auto shrink-0 text-sm text-muted">
          {away ? 'minimised' : <span className="font-mono">{pid ?? 'ended'}</span>}
        </span>
      </button>
      <IconButton label={`Close ${title}`} icon={X} iconSize={14} tone="danger" onClick={close} />
    </div>
  );
}
