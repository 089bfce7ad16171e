import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RightRequest } from '@/api/asked';

/** A server where calls wait, as far as this tab can tell. */
class FakeServer {
  waits: RightRequest[] = [];
  log: string[] = [];
  /** What answers are met with, instead of being taken. */
  refuses: { status: number; error: object } | null = null;
  down = false;
  /** Holds back what the server says until it is called. */
  release: (() => void) | null = null;
  socket: { onopen?: () => void; onmessage?: (message: { data: string }) => void } | null = null;
  seq = 0;

  fetch = async (url: string, init: RequestInit = {}): Promise<Response> => {
    if (this.down) throw new TypeError('failed to fetch');
    this.log.push(`${init.method} ${url} ${init.body ?? ''}`.trim());
    const json = (value: unknown, status = 200) => new Response(JSON.stringify(value), { status });
    const answer = (): Response => {
      if (url === '/requests') return json({ requests: this.waits });
      if (this.refuses !== null) return json({ error: this.refuses.error }, this.refuses.status);
      const before = this.waits.length;
      this.waits = this.waits.filter(({ id }) => url !== `/requests/${id}`);
      if (this.waits.length === before) return json({ error: { code: 'refused', message: 'Gone.' } }, 404);
      return new Response(null, { status: 204 });
    };
    const given = answer();
    if (this.release !== null) await new Promise<void>((resolve) => (this.release = resolve));
    return given;
  };

  say(event: object): void {
    this.seq += 1;
    this.socket?.onmessage?.({ data: JSON.stringify({ epoch: 'e', seq: this.seq, ...event }) });
  }

  ask(id: number, more: Partial<RightRequest> = {}): RightRequest {
    const request = {
      id,
      pid: 40,
      name: 'asker',
      call: 'WriteFile',
      right: `fs.write:/home/${id}`,
      arguments: { path: `/home/${id}` },
      abridged: false,
      ...more,
    };
    this.waits.push(request);
    return request;
  }

  settle(id: number, outcome: string): void {
    this.waits = this.waits.filter((one) => one.id !== id);
    this.say({ type: 'right_settled', id, pid: 40, outcome });
  }
}

let server: FakeServer;
let store: typeof import('./store');
let stops: (() => void)[];

const ids = () => store.useRequests.getState().asked.map(({ id }) => id);
const one = (id: number) => store.useRequests.getState().asked.find((asked) => asked.id === id);
const soon = () => vi.advanceTimersByTimeAsync(1);

beforeEach(async () => {
  vi.useFakeTimers();
  vi.resetModules();
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
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
  store = await import('./store');
  const { events } = await import('@/api/live');
  events.start();
  stops = [store.startRequests(), () => events.stop()];
});

afterEach(() => {
  for (const stop of stops) stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function boot(): Promise<void> {
  server.socket?.onopen?.();
  server.socket?.onmessage?.({ data: JSON.stringify({ epoch: 'e', seq: server.seq, type: 'hello' }) });
  await soon();
}

const requested = (id: number, more: Partial<RightRequest> = {}) =>
  server.say({ type: 'right_requested', ...server.ask(id, more) });

describe('requests', () => {
  it('are fetched at the start, follow the events, and are gone once they are settled', async () => {
    server.ask(1);
    await boot();
    expect(ids()).toEqual([1]);
    requested(2);
    requested(3);
    expect(ids()).toEqual([1, 2, 3]);
    expect(one(2)).toMatchObject({
      arguments: { path: '/home/2' },
      answering: null,
      failed: null,
      over: null,
    });
    server.settle(2, 'timed_out');
    server.settle(1, 'given_up');
    server.settle(77, 'denied');
    expect(ids()).toEqual([3]);
    // Told twice, or told anew what is known: once is enough.
    server.say({ type: 'right_requested', ...one(3) });
    expect(ids()).toEqual([3]);
  });

  it('are fetched again when events were missed', async () => {
    await boot();
    requested(1);
    requested(2);
    server.waits = [];
    server.ask(2);
    server.ask(5);
    server.say({ type: 'resync' });
    await soon();
    expect(ids()).toEqual([2, 5]);
  });

  it('are the newer ones where a list is older than an event', async () => {
    await boot();
    server.ask(1);
    server.ask(2);
    server.release = () => {};
    server.say({ type: 'resync' });
    await soon();
    server.settle(1, 'denied');
    requested(3);
    server.release();
    server.release = null;
    await soon();
    expect(ids()).toEqual([2, 3]);
  });

  it('are fetched once more if events were missed while a list was on its way', async () => {
    await boot();
    server.release = () => {};
    server.say({ type: 'resync' });
    await soon();
    server.ask(1);
    server.say({ type: 'resync' });
    server.say({ type: 'resync' });
    await soon();
    server.log = [];
    server.release();
    server.release = null;
    await soon();
    expect(ids()).toEqual([1]);
    expect(server.log).toEqual(['GET /requests']);
  });

  it('are fetched when the server is back', async () => {
    server.ask(1);
    server.down = true;
    await boot();
    expect(ids()).toEqual([]);
    server.down = false;
    await vi.advanceTimersByTimeAsync(1_100);
    expect(ids()).toEqual([1]);
  });

  it('are answered once, however often one presses', async () => {
    await boot();
    requested(1);
    server.log = [];
    const said = store.answer(1, 'once');
    void store.answer(1, 'deny');
    expect(one(1)?.answering).toBe('once');
    await said;
    expect(server.log).toEqual(['POST /requests/1 {"answer":"once"}']);
    expect(ids()).toEqual([]);
    server.settle(1, 'once');
    await store.answer(1, 'once');
    expect(server.log).toHaveLength(1);
  });

  it('wait on when the answer was refused, and say why until the next', async () => {
    await boot();
    requested(1);
    server.refuses = { status: 403, error: { code: 'refused', message: 'No.', detail: { right: 'x' } } };
    await store.answer(1, 'always');
    expect(one(1)).toMatchObject({
      answering: null,
      over: null,
      failed: { status: 403, detail: { right: 'x' } },
    });
    server.refuses = null;
    const said = store.answer(1, 'deny');
    expect(one(1)?.failed).toBeNull();
    await said;
    expect(ids()).toEqual([]);
  });

  it('that are gone when they are answered say so until they are dismissed', async () => {
    await boot();
    requested(1);
    requested(2);
    requested(3);
    server.waits = [];
    await store.answer(1, 'once');
    expect(one(1)).toMatchObject({ answering: null, failed: null, over: 'unknown' });
    // The event may come before the answer is refused, or after.
    server.settle(1, 'timed_out');
    expect(one(1)?.over).toBe('timed_out');
    const said = store.answer(2, 'once');
    server.settle(2, 'denied');
    expect(one(2)).toMatchObject({ answering: null, over: 'denied' });
    await said;
    expect(one(2)?.over).toBe('denied');
    expect(store.waiting(store.useRequests.getState().asked)).toBe(1);
    server.say({ type: 'resync' });
    await soon();
    expect(ids()).toEqual([1, 2]);
    store.dismiss(1);
    store.dismiss(2);
    expect(ids()).toEqual([]);
    requested(4);
    store.dismiss(4);
    expect(ids()).toEqual([4]);
  });

  it('that were answered by another tab just so are simply gone', async () => {
    await boot();
    requested(1);
    server.waits = [];
    const said = store.answer(1, 'deny');
    server.settle(1, 'denied');
    expect(ids()).toEqual([]);
    await said;
    expect(ids()).toEqual([]);
  });

  it('are put off until somebody else asks', async () => {
    await boot();
    const isPutOff = () => store.useRequests.getState().putOff !== null;
    requested(1);
    store.putOff();
    requested(2);
    expect(isPutOff()).toBe(true);
    requested(3, { pid: 41 });
    expect(isPutOff()).toBe(false);
    store.putOff();
    server.settle(1, 'denied');
    expect(isPutOff()).toBe(true);
    server.settle(2, 'denied');
    server.settle(3, 'denied');
    expect(isPutOff()).toBe(false);
    requested(4);
    expect(isPutOff()).toBe(false);
    // What is over is put away for good.
    server.waits = [];
    await store.answer(4, 'once');
    store.putOff();
    expect([ids(), isPutOff()]).toEqual([[], false]);
  });

  it('that nobody answered in time are told to whoever comes back', async () => {
    const { useToasts } = await import('@/components/toast');
    await boot();
    requested(1);
    requested(2);
    server.settle(1, 'given_up');
    server.settle(2, 'timed_out');
    expect(useToasts.getState().notices.map(({ title }) => title)).toEqual([
      'asker (process 40) asks to create, change and delete /home/2.',
    ]);
  });

  it('keep the calls of their process from being given up, and only those', async () => {
    const { deadline } = await import('@/api/parked');
    await boot();
    requested(1);
    const [asks, other] = [deadline(40, 30_000), deadline(41, 30_000)];
    await vi.advanceTimersByTimeAsync(60_000);
    expect([asks.signal.aborted, other.signal.aborted]).toEqual([false, true]);
    expect(other.isOver()).toBe(true);
    server.settle(1, 'once');
    await vi.advanceTimersByTimeAsync(30_000);
    expect(asks.isOver()).toBe(true);
    const done = deadline(41, 30_000);
    done.clear();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(done.signal.aborted).toBe(false);
  });
});
