import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RunningApp } from '@/api/app';
import { clientId } from '@/api/http';
import type { useWindows } from '@/windows/store/windows';

/** A server of apps, as far as this tab can tell, behind fetch and WebSocket. */
class FakeServer {
  apps = new Map<string, RunningApp>();
  log: string[] = [];
  down = false;
  socket: {
    onopen?: () => void;
    onmessage?: (message: { data: string }) => void;
    onclose?: () => void;
  } | null = null;
  seq = 0;

  add(id: string, more: Partial<RunningApp> = {}): RunningApp {
    const app: RunningApp = {
      id,
      manifest_id: 'notes',
      title: id,
      icon: 'file',
      ui_spec: { builtin: 'notes' },
      state: null,
      state_version: 1,
      window_id: `w-${id}`,
      window_pos: { x: 40, y: 40 },
      window_size: { width: 500, height: 400 },
      window_state: 'normal',
      restore_state: 'normal',
      // As the server has it: the place of a normal window is also the one it goes back to.
      restore_bounds: { x: 40, y: 40, ...more.window_pos, width: 500, height: 400 },
      snap: null,
      z: this.apps.size + 1,
      workspace: 0,
      version: 1,
      parent_id: null,
      pid: 10 + this.apps.size,
      fullscreen: false,
      min_size: { width: 320, height: 200 },
      singleton: false,
      ...more,
    };
    this.apps.set(id, app);
    return app;
  }

  fetch = async (url: string, init: RequestInit = {}): Promise<Response> => {
    if (this.down) throw new TypeError('failed to fetch');
    const [path = '', query = ''] = url.split('?');
    const method = init.method ?? 'GET';
    this.log.push(`${method} ${path}`);
    const body: unknown = typeof init.body === 'string' ? JSON.parse(init.body) : null;
    const json = (value: unknown, status = 200) => new Response(JSON.stringify(value), { status });
    if (path === '/apps') return json({ apps: [...this.apps.values()] });
    if (path === '/registry/apps') return json({ apps: [] });
    const [, , id = '', what = ''] = path.split('/');
    const app = this.apps.get(id);
    if (app === undefined) return json({ error: { code: 'not_found', message: 'Gone.' } }, 404);
    const stale = () =>
      json({ error: { code: 'stale_version', message: 'Stale.', detail: { current: app } } }, 409);
    if (what === 'window') {
      const change = body as { version?: number; position: { x: number; y: number }; z: number };
      const { position } = change;
      if (change.version !== undefined && change.version !== app.version) return stale();
      this.apps.set(id, {
        ...app,
        window_pos: position,
        restore_bounds: { ...app.restore_bounds, ...position },
        z: change.z,
        version: app.version + 1,
      });
      return json({ success: true, version: app.version + 1 });
    }
    if (what === 'state') {
      const version = new URLSearchParams(query).get('version');
      if (version !== null && Number(version) !== app.state_version) return stale();
      this.apps.set(id, { ...app, state: body as RunningApp['state'], state_version: app.state_version + 1 });
      return json({ success: true, version: app.state_version + 1 });
    }
    if (method === 'DELETE') {
      this.apps.delete(id);
      return json({ closed: [id] });
    }
    return json(app);
  };

  say(event: object): void {
    this.seq += 1;
    this.socket?.onmessage?.({ data: JSON.stringify({ epoch: 'e', seq: this.seq, ...event }) });
  }

  hello(): void {
    this.socket?.onopen?.();
    this.socket?.onmessage?.({ data: JSON.stringify({ epoch: 'e', seq: this.seq, type: 'hello' }) });
  }
}

let server: FakeServer;
let desktop: typeof import('./desktop');
let windows: typeof useWindows;
let stop: () => void;

beforeEach(async () => {
  vi.useFakeTimers();
  vi.resetModules();
  localStorage.clear();
  server = new FakeServer();
  vi.stubGlobal('fetch', server.fetch);
  vi.stubGlobal(
    'WebSocket',
    class {
      constructor() {
        server.socket = this as FakeServer['socket'];
      }
      close(): void {}
    },
  );
  vi.spyOn(crypto, 'randomUUID').mockReturnValue(
    clientId as `${string}-${string}-${string}-${string}-${string}`,
  );
  desktop = await import('./desktop');
  windows = (await import('@/windows/store/windows')).useWindows;
  server.add('a');
  server.add('b');
});

afterEach(() => {
  stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function boot(): Promise<void> {
  stop = desktop.startDesktop();
  server.hello();
  await vi.advanceTimersByTimeAsync(1);
}

const changed = (app: RunningApp, by?: string) =>
  server.say({ type: 'window', id: app.id, app, ...(by === undefined ? {} : { by }) });

describe('the desktop', () => {
  it('shows all windows in one change, and fetches again only for what it missed', async () => {
    const changes = vi.fn();
    windows.subscribe(changes);
    stop = desktop.startDesktop();
    await vi.advanceTimersByTimeAsync(1);
    expect(desktop.useDesktopStore.getState().status).toBe('ready');
    expect(changes).toHaveBeenCalledTimes(1);
    expect(windows.getState().order).toEqual(['w-a', 'w-b']);
    server.hello();
    await vi.advanceTimersByTimeAsync(1);
    expect(server.log.filter((line) => line === 'GET /apps')).toHaveLength(2);
  });

  it('sends a settled change once, quietly, and takes its own echo for nothing new', async () => {
    await boot();
    for (let x = 50; x < 90; x += 10) windows.getState().move('w-a', { x, y: 60 });
    await vi.advanceTimersByTimeAsync(149);
    expect(server.log.filter((line) => line.startsWith('POST'))).toEqual([]);
    await vi.advanceTimersByTimeAsync(10);
    expect(server.log.filter((line) => line.startsWith('POST'))).toEqual(['POST /apps/a/window']);
    expect(server.apps.get('a')?.window_pos).toEqual({ x: 80, y: 60 });
    windows.getState().move('w-a', { x: 200, y: 60 });
    changed(server.apps.get('a') as RunningApp, clientId);
    expect(windows.getState().windows['w-a']?.bounds.x).toBe(200);
    await vi.advanceTimersByTimeAsync(200);
    expect(server.apps.get('a')).toMatchObject({ window_pos: { x: 200 }, version: 3 });
    expect(desktop.useDesktopStore.getState().queued).toBe(0);
  });

  it('follows other tabs, but not over what this person has just done', async () => {
    await boot();
    changed(server.add('a', { version: 2, window_pos: { x: 300, y: 10 } }), 'other');
    expect(windows.getState().windows['w-a']?.bounds.x).toBe(300);
    windows.getState().move('w-a', { x: 77, y: 60 });
    changed(server.add('a', { version: 3, window_pos: { x: 400, y: 10 } }), 'other');
    expect(windows.getState().windows['w-a']?.bounds.x).toBe(77);
    await vi.advanceTimersByTimeAsync(200);
    expect(server.apps.get('a')?.window_pos.x).toBe(77);
    // An older word that comes late changes nothing.
    changed({ ...(server.apps.get('a') as RunningApp), version: 2, window_pos: { x: 5, y: 5 } }, 'other');
    expect(windows.getState().windows['w-a']?.bounds.x).toBe(77);
  });

  it('yields on a conflict it could not foresee', async () => {
    await boot();
    server.add('a', { version: 9, window_pos: { x: 300, y: 10 } });
    windows.getState().move('w-a', { x: 77, y: 60 });
    await vi.advanceTimersByTimeAsync(200);
    expect(windows.getState().windows['w-a']).toMatchObject({ bounds: { x: 300 }, version: 9 });
  });

  it('keeps what it can’t send, says so, and sends it when the server is back', async () => {
    await boot();
    server.down = true;
    desktop.setAppState('a', { text: 'kept' });
    windows.getState().move('w-a', { x: 99, y: 60 });
    await vi.advanceTimersByTimeAsync(400);
    expect(desktop.useDesktopStore.getState()).toMatchObject({ queued: 2, saves: { a: 'kept' } });
    expect(localStorage.getItem('uos.unsent')).toContain('kept');
    server.socket?.onclose?.();
    await vi.advanceTimersByTimeAsync(400);
    server.socket?.onclose?.();
    expect(desktop.useDesktopStore.getState().status).toBe('offline');
    server.down = false;
    await vi.advanceTimersByTimeAsync(2_000);
    server.socket?.onopen?.();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(desktop.useDesktopStore.getState()).toMatchObject({ status: 'ready', queued: 0, saves: {} });
    expect(server.apps.get('a')).toMatchObject({ state: { text: 'kept' }, window_pos: { x: 99 } });
    expect(localStorage.getItem('uos.unsent')).toBeNull();
  });

  it('takes up what a tab that ended could not send', async () => {
    localStorage.setItem(
      'uos.unsent',
      JSON.stringify({ a: { state: 'late', version: 1 }, b: { state: 'stale', version: 0 } }),
    );
    await boot();
    await vi.advanceTimersByTimeAsync(400);
    expect(server.apps.get('a')?.state).toBe('late');
    expect(server.apps.get('b')?.state).toBeNull();
  });

  it('sends at once when the page may end', async () => {
    await boot();
    desktop.setAppState('a', 'now');
    globalThis.dispatchEvent(new Event('pagehide'));
    await vi.advanceTimersByTimeAsync(1);
    expect(server.apps.get('a')?.state).toBe('now');
  });

  it('closes, and shows what ends elsewhere', async () => {
    await boot();
    await desktop.close('a');
    expect(windows.getState().order).toEqual(['w-b']);
    server.say({ type: 'process', change: 'ended', pid: 11, parent: 1, name: 'b' });
    expect(desktop.useDesktopStore.getState().apps.b?.pid).toBeNull();
    expect(windows.getState().windows['w-b']?.pid).toBeNull();
    server.say({ type: 'app', change: 'closed', id: 'b' });
    expect(windows.getState().order).toEqual([]);
  });

  it('waits for a server that isn’t there yet', async () => {
    server.down = true;
    stop = desktop.startDesktop();
    await vi.advanceTimersByTimeAsync(1);
    expect(desktop.useDesktopStore.getState().status).toBe('offline');
    server.down = false;
    await vi.advanceTimersByTimeAsync(3_000);
    expect(windows.getState().order).toEqual(['w-a', 'w-b']);
  });
});

it('believes what it hears while an older list of the apps is on its way', async () => {
  await boot();
  let letGo = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  vi.stubGlobal('fetch', async (url: string, init?: RequestInit) => {
    const answer = await server.fetch(url, init);
    if (url === '/apps') await held;
    return answer;
  });
  server.say({ type: 'resync' });
  await vi.advanceTimersByTimeAsync(1);
  server.say({ type: 'app', change: 'opened', id: 'c', app: server.add('c') });
  server.apps.delete('a');
  server.say({ type: 'app', change: 'closed', id: 'a' });
  expect(Object.keys(windows.getState().windows).sort()).toEqual(['w-b', 'w-c']);
  letGo();
  await vi.advanceTimersByTimeAsync(1);
  expect(server.log.filter((line) => line === 'GET /apps').length).toBeGreaterThan(1);
  expect(Object.keys(windows.getState().windows).sort()).toEqual(['w-b', 'w-c']);
});
