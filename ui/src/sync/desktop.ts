import { useEffect } from 'react';
import { create } from 'zustand';
import { useShallow } from 'zustand/shallow';
import { type RunningApp, runningAppSchema, type WindowChange } from '@/api/app';
import { useAuth } from '@/api/auth';
import { backoff } from '@/api/backoff';
import type { EventOf } from '@/api/event';
import { explain } from '@/api/explain';
import { ApiError, clientId } from '@/api/http';
import type { Json } from '@/api/json';
import { events } from '@/api/live';
import type { Manifest } from '@/api/manifest';
import * as routes from '@/api/routes';
import { toast } from '@/components/toast';
import { useDrag } from '@/windows/store/drag';
import { onSettled } from '@/windows/store/settled';
import { useWindows } from '@/windows/store/windows';
import { sameChange, toChange, toWindow } from './model';
import { Pump } from './pump';
import { type Stash, takeStash, writeStash } from './stash';

export type DesktopStatus = 'loading' | 'ready' | 'offline' | 'error';
/** saved: the server has it; saving: on its way; kept: only here, until the server can be reached. */
export type SaveStatus = 'saved' | 'saving' | 'kept';

interface DesktopStore {
  status: DesktopStatus;
  /** Why it is `error`. */
  error: string | null;
  /** How many changes the server has yet to acknowledge. */
  queued: number;
  manifests: readonly Manifest[];
  apps: Readonly<Record<string, RunningApp>>;
  saves: Readonly<Record<string, SaveStatus>>;
}

const initial: DesktopStore = {
  status: 'loading',
  error: null,
  queued: 0,
  manifests: [],
  apps: {},
  saves: {},
};

export const useDesktopStore = create<DesktopStore>()(() => initial);

const get = useDesktopStore.getState;
const set = useDesktopStore.setState;

/** A keepalive body may have 64 KiB in all; what is larger goes as an ordinary request. */
const KEEPALIVE_BYTES = 48 * 1024;

function currentApp(detail: unknown): RunningApp | null {
  const parsed = runningAppSchema.safeParse((detail as { current?: unknown } | null)?.current);
  return parsed.success ? parsed.data : null;
}

const retry = (attempt: number): number => backoff(attempt, 500);

const windows = new Pump<WindowChange>({
  timing: { debounce: 150, retry, same: sameChange },
  post: (appId, change, base) =>
    routes
      .saveWindow(appId, base === undefined ? change : { ...change, version: base }, true)
      .then((reply) => {
        const app = get().apps[appId];
        if (app !== undefined) {
          useWindows.getState().acknowledge(app.window_id, reply.version);
          note(appId, { version: reply.version });
        }
        return reply;
      }),
  current: (detail) => {
    const app = currentApp(detail);
    return app === null ? null : { version: app.version, value: toChange(toWindow(app)) };
  },
  keep: (appId) => useDrag.getState().id !== null && useDrag.getState().id === get().apps[appId]?.window_id,
  onYield: (_appId, detail) => {
    const app = currentApp(detail);
    if (app !== null) takeApp(app);
  },
  onGone: (appId) => removeApps([appId]),
  onRefused: (appId, error) => {
    toast({ tone: 'danger', title: 'A window could not be placed there.', hint: explain(error) });
    void routes
      .getApp(appId)
      .then(takeApp)
      .catch(() => undefined);
  },
  onChange: () => count(),
});

const states = new Pump<Json>({
  timing: { debounce: 300, retry, same: (one, other) => JSON.stringify(one) === JSON.stringify(other) },
  post: (appId, state, base) =>
    routes.saveState(appId, state, base, JSON.stringify(state).length < KEEPALIVE_BYTES).then((reply) => {
      note(appId, { state_version: reply.version });
      return reply;
    }),
  current: (detail) => {
    const app = currentApp(detail);
    return app === null ? null : { version: app.state_version, value: app.state };
  },
  onYield: (appId, detail, mine) => {
    const app = currentApp(detail);
    if (app === null) return;
    takeApp(app);
    toast({
      tone: 'warning',
      title: `${app.title} was changed in another tab.`,
      hint: 'What is shown now is from there.',
      action: { label: 'Use mine', run: () => setAppState(appId, mine) },
    });
  },
  onGone: (appId) => removeApps([appId]),
  onRefused: (appId, error) => {
    const title = get().apps[appId]?.title ?? 'An app';
    toast({ tone: 'danger', title: `${title} could not save its state.`, hint: explain(error) });
  },
  onChange: () => count(),
});

function count(): void {
  const queued = windows.queued + states.queued;
  const saves: Record<string, SaveStatus> = {};
  for (const { key } of states.unsent()) saves[key] = states.stuck(key) ? 'kept' : 'saving';
  const before = get();
  const same =
    before.queued === queued &&
    Object.keys(saves).length === Object.keys(before.saves).length &&
    Object.entries(saves).every(([key, status]) => before.saves[key] === status);
  if (!same) set({ queued, saves });
  if (stashed || Object.values(saves).includes('kept')) stash();
}

/** Whether something is kept in the browser that the server may have by now. */
let stashed = false;

function stash(): void {
  const kept: Stash = {};
  for (const { key, value, base } of states.unsent()) {
    kept[key] = { state: value, version: base ?? get().apps[key]?.state_version ?? 0 };
  }
  writeStash(kept);
  stashed = Object.keys(kept).length > 0;
}

/** The apps that were heard of while a list of all of them was on its way: of these, the list may be the older. */
let heard = new Set<string>();

/** Changes what is known of an app, if it is there. */
function note(appId: string, change: Partial<RunningApp>): void {
  const app = get().apps[appId];
  if (app === undefined) return;
  heard.add(appId);
  set((state) => ({ apps: { ...state.apps, [appId]: { ...app, ...change } } }));
}

/** Takes what the server says of an app, except what this person has changed since. */
function takeApp(next: RunningApp): void {
  const mine = get().apps[next.id];
  if (mine !== undefined && next.version < mine.version && next.state_version < mine.state_version) return;
  windows.observed(next.id, next.version);
  states.observed(next.id, next.state_version);
  const keepState = mine !== undefined && (states.busy(next.id) || next.state_version < mine.state_version);
  const app = keepState
    ? { ...next, state: mine.state, state_version: Math.max(mine.state_version, next.state_version) }
    : next;
  const keepWindow = mine !== undefined && (windows.busy(next.id) || next.version < mine.version);
  const shown = useWindows.getState().windows[next.window_id];
  heard.add(next.id);
  set((state) => ({ apps: { ...state.apps, [next.id]: app } }));
  if (keepWindow && shown !== undefined) {
    const { title, icon, pid } = next;
    useWindows
      .getState()
      .applyRemote({ ...shown, title, icon, pid, version: Math.max(shown.version, next.version) });
  } else useWindows.getState().applyRemote(toWindow(next));
}

function removeApps(ids: readonly string[]): void {
  const { apps } = get();
  for (const id of ids) heard.add(id);
  const gone = ids.filter((id) => apps[id] !== undefined);
  if (gone.length === 0) return;
  for (const id of gone) {
    windows.gone(id);
    states.gone(id);
  }
  set((state) => ({
    apps: Object.fromEntries(Object.entries(state.apps).filter(([id]) => !gone.includes(id))),
  }));
  for (const id of gone) {
    const app = apps[id];
    if (app !== undefined) useWindows.getState().remove(app.window_id);
  }
}

/** A list that was asked for before what was heard since. */
function amended(list: readonly RunningApp[]): readonly RunningApp[] {
  const known = Object.values(get().apps).filter((app) => heard.has(app.id));
  return [...list.filter((app) => !heard.has(app.id)), ...known];
}

/** Shows exactly these apps, all in one paint. What this person has changed and not yet sent stays. */
export function showApps(list: readonly RunningApp[]): void {
  const mine = get().apps;
  const shown = useWindows.getState().windows;
  for (const id of Object.keys(mine)) {
    heard.add(id);
    if (!list.some((app) => app.id === id)) {
      windows.gone(id);
      states.gone(id);
    }
  }
  const apps: Record<string, RunningApp> = {};
  const models = list.map((app) => {
    heard.add(app.id);
    windows.observed(app.id, app.version);
    states.observed(app.id, app.state_version);
    const old = mine[app.id];
    apps[app.id] = old !== undefined && states.busy(app.id) ? { ...app, state: old.state } : app;
    const model = toWindow(app);
    const current = shown[app.window_id];
    // The very same app: what is shown of it may be newer, since one's own changes are not noted in the app.
    if (current !== undefined && app === old) return current;
    const keep = current !== undefined && (windows.busy(app.id) || useDrag.getState().id === app.window_id);
    return keep ? { ...current, title: app.title, pid: app.pid, version: app.version } : model;
  });
  set({ apps });
  useWindows.getState().replaceAll(models);
}

/** The app’s own state, shown at once and saved when it has settled. */
export function setAppState(appId: string, next: Json): void {
  const app = get().apps[appId];
  if (app === undefined) return;
  if (Object.is(app.state, next)) return;
  note(appId, { state: next });
  states.change(appId, next);
}

let fetching: Promise<void> | null = null;
let again: ReturnType<typeof setTimeout> | null = null;
let failures = 0;
let loadedAfterHello = false;
let helloSeen = false;

/** Fetches the whole desktop. */
function load(): Promise<void> {
  if (fetching !== null) return fetching;
  if (again !== null) clearTimeout(again);
  again = null;
  const afterHello = helloSeen;
  const first = get().status !== 'ready';
  heard = new Set();
  fetching = Promise.all([routes.listApps(), first ? routes.listManifests() : get().manifests])
    .then(([apps, manifests]) => {
      failures = 0;
      loadedAfterHello = afterHello;
      set({ manifests, status: events.status === 'offline' ? 'offline' : 'ready', error: null });
      showApps(amended(apps));
      for (const [id, kept] of Object.entries(takeStash())) {
        if (get().apps[id]?.state_version === kept.version) setAppState(id, kept.state);
      }
    })
    .catch((error: unknown) => {
      if (error instanceof ApiError && error.status === 401) return;
      const transient = error instanceof ApiError && error.transient;
      set({ status: transient ? 'offline' : 'error', error: explain(error) });
      if (transient) {
        again = setTimeout(() => void load(), backoff(failures, 500));
        failures += 1;
      }
    })
    .finally(() => {
      fetching = null;
      // Events between the fetch and the hello were heard by nobody.
      if (helloSeen && !loadedAfterHello && get().status === 'ready') void load();
    });
  return fetching;
}

let registryTimer: ReturnType<typeof setTimeout> | null = null;

/** Fetches the registry again; many changes at once are one fetch. */
export function reloadManifests(): void {
  if (registryTimer !== null) clearTimeout(registryTimer);
  registryTimer = setTimeout(() => {
    registryTimer = null;
    routes
      .listManifests()
      .then((manifests) => set({ manifests }))
      .catch(() => undefined);
  }, 50);
}

function onApp(event: EventOf<'app'>): void {
  if (event.change === 'closed') {
    removeApps([event.id]);
    return;
  }
  if (event.app === null || event.app === undefined) return;
  if (event.by === clientId && event.change === 'changed') observe(event.app);
  else takeApp(event.app);
}

/** Our own change came back: nothing to show, but the versions are news. */
function observe(app: RunningApp): void {
  windows.observed(app.id, app.version);
  states.observed(app.id, app.state_version);
}

function onProcess(event: EventOf<'process'>): void {
  if (event.change !== 'ended') return;
  const app = Object.values(get().apps).find((candidate) => candidate.pid === event.pid);
  if (app === undefined) return;
  note(app.id, { pid: null });
  const window = useWindows.getState().windows[app.window_id];
  if (window !== undefined) useWindows.getState().applyRemote({ ...window, pid: null });
}

function onStatus(): void {
  const { status } = get();
  if (events.status === 'open') {
    if (status === 'offline') set({ status: loadedOnce() ? 'ready' : 'loading' });
    windows.online();
    states.online();
    if (!loadedOnce()) void load();
  } else if (events.status === 'offline') {
    windows.offline();
    states.offline();
    if (status === 'ready') set({ status: 'offline' });
  }
}

function loadedOnce(): boolean {
  return get().manifests.length > 0 || Object.keys(get().apps).length > 0;
}

function flush(): void {
  stash();
  windows.flush();
  states.flush();
}

let users = 0;
let stops: (() => void)[] = [];

/** Begins to keep this tab and the server the same; returns how to stop. */
export function startDesktop(): () => void {
  users += 1;
  if (users === 1) {
    const hidden = (): void => {
      if (document.visibilityState === 'hidden') flush();
    };
    globalThis.addEventListener('pagehide', flush);
    document.addEventListener('visibilitychange', hidden);
    stops = [
      () => globalThis.removeEventListener('pagehide', flush),
      () => document.removeEventListener('visibilitychange', hidden),
      onSettled((window) => windows.change(window.appId, toChange(window))),
      events.onStatus(onStatus),
      events.onResync(() => {
        helloSeen = true;
        loadedAfterHello = false;
        reloadManifests();
        void load();
      }),
      events.subscribe('hello', () => {
        helloSeen = true;
        if (!loadedAfterHello && fetching === null) void load();
      }),
      events.subscribe('app', onApp),
      events.subscribe('window', (event) =>
        event.by === clientId ? observe(event.app) : takeApp(event.app),
      ),
      events.subscribe('desktop', (event) => {
        if (event.by !== clientId) showApps(event.apps);
      }),
      events.subscribe('registry', reloadManifests),
      events.subscribe('process', onProcess),
      // Signed in again: everything that waited may go.
      useAuth.subscribe((auth) => {
        if (!auth.signedOut) retryDesktop();
      }),
    ];
    events.start();
    void load();
  }
  return () => {
    users -= 1;
    if (users > 0) return;
    for (const stop of stops) stop();
    stops = [];
    events.stop();
  };
}

/** Tries again, now. */
export function retryDesktop(): void {
  if (get().status === 'error') set({ status: 'loading', error: null });
  failures = 0;
  events.retry();
  windows.online();
  states.online();
  void load();
}

/** Starts an app; says so if it can’t. */
export async function launch(manifestId: string, parentId?: string): Promise<RunningApp | null> {
  try {
    const app = await routes.launchApp(manifestId, parentId);
    takeApp(app);
    useWindows.getState().focus(app.window_id);
    return app;
  } catch (error) {
    const title = get().manifests.find((manifest) => manifest.id === manifestId)?.title ?? manifestId;
    toast({ tone: 'danger', title: `${title} could not be started.`, hint: explain(error) });
    return null;
  }
}

/** Closes an app and what it has opened, and ends their processes. */
export async function close(appId: string): Promise<void> {
  try {
    removeApps(await routes.closeApp(appId));
    removeApps([appId]);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) {
      removeApps([appId]);
      return;
    }
    const title = get().apps[appId]?.title ?? 'The app';
    toast({ tone: 'danger', title: `${title} could not be closed.`, hint: explain(error) });
  }
}

/** Gives an app whose process has ended a new one. */
export async function restart(appId: string): Promise<void> {
  takeApp(await routes.restartApp(appId));
}

export interface Desktop {
  status: DesktopStatus;
  error: string | null;
  queued: number;
  manifests: readonly Manifest[];
  launch: (manifestId: string, parentId?: string) => Promise<RunningApp | null>;
  close: (appId: string) => Promise<void>;
  retry: () => void;
}

/** The desktop, kept the same as the server’s for as long as the component is there. */
export function useDesktop(): Desktop {
  useEffect(startDesktop, []);
  const shown = useDesktopStore(
    useShallow(({ status, error, queued, manifests }) => ({ status, error, queued, manifests })),
  );
  return { ...shown, launch, close, retry: retryDesktop };
}
