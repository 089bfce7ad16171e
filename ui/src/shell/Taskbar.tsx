import { CloudOff, LayoutGrid, RefreshCw } from 'lucide-react';
import { useEffect, useState } from 'react';
import { MicroGraphs } from '@/apps/monitor/micro';
import { IconButton } from '@/components';
import { useSwipe } from '@/input/pointer';
import { RequestsButton } from '@/requests/Requests';
import type { Desktop } from '@/sync/desktop';
import { useWindows } from '@/windows/store/windows';
import { Look } from './Look';
import { Notices } from './Notices';
import { Sessions } from './Sessions';
import { useShell } from './state';
import { Tasks } from './Tasks';
import { Workspaces } from './Workspaces';

export function Taskbar({ desktop }: { desktop: Desktop }) {
  const setLauncher = useShell((state) => state.setLauncher);
  const launcher = useShell((state) => state.launcher);
  // Along it to the next workspace, up from it to the launcher.
  const swipe = useSwipe((direction) => {
    const { stepWorkspace } = useWindows.getState();
    if (direction === 'up') setLauncher(true);
    else if (direction === 'left') stepWorkspace(1);
    else if (direction === 'right') stepWorkspace(-1);
  });
  return (
    <nav
      data-testid="taskbar"
      aria-label="Taskbar"
      className="fixed inset-x-0 bottom-0 z-40 flex h-12 touch-none items-center gap-1 border-t border-line bg-bar px-2 backdrop-blur-xl"
      {...swipe}
    >
      <IconButton
        label="Launcher"
        icon={LayoutGrid}
        keys={['Ctrl+K']}
        tipSide="top"
        size={36}
        iconSize={20}
        className="coarse:size-11!"
        aria-expanded={launcher}
        onClick={() => setLauncher(!launcher)}
      />
      <Workspaces />
      <span aria-hidden="true" className="mx-1 hidden h-5 w-px bg-line md:block" />
      <Tasks desktop={desktop} />
      <div className="hidden px-2 lg:block">
        <MicroGraphs />
      </div>
      <Connection desktop={desktop} />
      <RequestsButton />
      <Notices />
      <Sessions />
      <Look />
      <Clock />
    </nav>
  );
}

function Connection({ desktop }: { desktop: Desktop }) {
  const { status, queued, retry } = desktop;
  if (status === 'offline' || status === 'error') {
    const waiting = queued > 0 ? `, ${queued} to save` : '';
    return (
      <button
        type="button"
        data-testid="offline"
        onClick={retry}
        aria-label={`Offline${waiting}. Try again`}
        className="flex h-8 items-center gap-2 rounded-md bg-warning-soft px-2 text-sm whitespace-nowrap text-text coarse:h-11"
      >
        <CloudOff size={16} strokeWidth={1.75} aria-hidden />
        <span className="hidden sm:inline">
          Offline{waiting}. <span className="underline">Try again</span>
        </span>
      </button>
    );
  }
  if (queued === 0) return null;
  return (
    <span role="img" className="text-faint" aria-label={`${queued} changes on their way`}>
      <RefreshCw size={14} strokeWidth={1.75} aria-hidden />
    </span>
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
      title={date.format(now)}
      className="hidden shrink-0 px-2 text-right text-sm whitespace-nowrap tabular sm:block"
    >
      <span className="block font-semibold">{time.format(now)}</span>
      <span className="hidden text-muted md:block">{date.format(now)}</span>
    </time>
  );
}
