import {
  type ComponentType,
  type LazyExoticComponent,
  lazy,
  memo,
  Suspense,
  useMemo,
  useRef,
  useState,
} from 'react';
import { builtinOf, type RunningApp } from '@/api/app';
import { explain } from '@/api/explain';
import type { Json } from '@/api/json';
import { Button, EmptyState, SkeletonRows, toast } from '@/components';
import { close, launch, restart, setAppState, useDesktopStore } from '@/sync/desktop';
import type { WindowModel } from '@/windows/core/types';
import { Boundary } from './boundary';
import type { AppProps } from './contract';
import { actsAsSystem } from './system';

/** What an app is given before calls can be made: those come with the client, which is fetched beside the app. */
type HostProps = Omit<AppProps, 'call'> & { actor: number | null };
type Loader = () => Promise<{ default: ComponentType<AppProps> }>;

/** The components that come with the desktop; each is fetched when it is first opened. */
const loaders: Readonly<Record<string, Loader>> = {
  hub: () => import('./hub'),
  files: () => import('./files'),
  monitor: () => import('./monitor'),
  notes: () => import('./notes'),
};
const dynamic: Loader = () => import('./dynamic');

const loaded = new Map<string, LazyExoticComponent<ComponentType<HostProps>>>();

function componentOf(name: string | null): LazyExoticComponent<ComponentType<HostProps>> | null {
  const key = name ?? '';
  const loader = name === null ? dynamic : Object.hasOwn(loaders, name) ? loaders[name] : undefined;
  if (loader === undefined) return null;
  const known = loaded.get(key);
  if (known !== undefined) return known;
  const made = lazy(async () => {
    const [{ default: Part }, { callAs }] = await Promise.all([loader(), import('@/api/kernel')]);
    function WithCalls({ actor, ...rest }: HostProps) {
      // Once its process has ended an app goes on as that one, whose calls are refused: what it shows stays until it
      // has a new one. Where there was none from the start, it acts as one that never was.
      const last = useRef(actor ?? Number.MAX_SAFE_INTEGER);
      if (actor !== null) last.current = actor;
      const acting = last.current;
      const call = useMemo(() => callAs(acting), [acting]);
      return <Part {...rest} call={call} />;
    }
    return { default: WithCalls };
  });
  loaded.set(key, made);
  return made;
}

/** What stands in a window. It doesn’t draw again when the window is moved. */
export function AppContent({ window }: { window: WindowModel }) {
  return <Content appId={window.appId} />;
}

const Content = memo(function Content({ appId }: { appId: string }) {
  const app = useDesktopStore((state) => state.apps[appId]);
  return app === undefined ? <SkeletonRows /> : <Running app={app} />;
});

function Running({ app }: { app: RunningApp }) {
  const name = builtinOf(app.ui_spec);
  const [, setTries] = useState(0);
  const Part = componentOf(name);
  const { id, pid } = app;
  const actor = actsAsSystem(name) ? 0 : pid;
  const setState = useMemo(() => (next: Json) => setAppState(id, next), [id]);
  const start = useMemo(() => (manifestId: string) => launch(manifestId, id), [id]);

  if (Part === null) {
    return (
      <EmptyState
        title={`This desktop has no part called “${name}”.`}
        hint="It comes with a newer version. Reload the page after the server has been updated."
        action={<Button onClick={() => void close(id)}>Close</Button>}
      />
    );
  }
  return (
    <div className="relative h-full min-h-0">
      <div className="h-full min-h-0" inert={pid === null}>
        <Boundary
          title={app.title}
          onRetry={() => {
            // A part that could not be fetched stays so, unless it is asked for anew.
            loaded.delete(name ?? '');
            setTries((tries) => tries + 1);
          }}
        >
          <Suspense fallback={<SkeletonRows />}>
            <Part app={app} pid={pid} actor={actor} state={app.state} setState={setState} launch={start} />
          </Suspense>
        </Boundary>
      </div>
      {pid === null ? <Ended app={app} /> : null}
    </div>
  );
}

function Ended({ app }: { app: RunningApp }) {
  const [busy, setBusy] = useState(false);
  const again = (): void => {
    setBusy(true);
    restart(app.id)
      .catch((error: unknown) => {
        toast({ tone: 'danger', title: `${app.title} could not be restarted.`, hint: explain(error) });
      })
      .finally(() => setBusy(false));
  };
  return (
    <div
      role="alert"
      className="absolute inset-0 z-20 grid animate-fade place-content-center justify-items-center gap-4 bg-surface/85 p-6 backdrop-blur-[3px] text-center"
    >
      <p>The process of this app has ended.</p>
      <div className="flex gap-2">
        <Button variant="primary" onClick={again} disabled={busy}>
          Restart
        </Button>
        <Button onClick={() => void close(app.id)}>Close</Button>
      </div>
    </div>
  );
}
