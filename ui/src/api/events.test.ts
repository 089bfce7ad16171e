import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SystemEvent } from './event';
import { EventStream } from './events';

/** A WebSocket that does what the test says. */
class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  closed = false;

  constructor(readonly url: string) {}

  close(): void {
    this.closed = true;
  }

  open(): void {
    this.onopen?.();
  }

  send(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  fail(): void {
    this.onclose?.();
  }
}

const sockets: FakeSocket[] = [];
const last = (): FakeSocket => sockets.at(-1) as FakeSocket;
const streams: EventStream[] = [];
const probe = vi.fn();

function stream() {
  const made = new EventStream({
    url: (query) => `ws://test/events${query}`,
    open: (url) => {
      sockets.push(new FakeSocket(url));
      return last() as unknown as WebSocket;
    },
    probe,
  });
  const seen: SystemEvent[] = [];
  const resyncs = vi.fn();
  made.subscribe('process', (event) => seen.push(event));
  made.onResync(resyncs);
  made.start();
  streams.push(made);
  return { made, seen, resyncs };
}

const started = (seq: number, epoch: string | number = 'e') => ({
  epoch,
  seq,
  type: 'process',
  change: 'started',
  pid: seq,
  parent: 1,
  name: 'x',
});

describe('EventStream', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    sockets.length = 0;
    probe.mockReset();
  });
  afterEach(() => {
    for (const each of streams.splice(0)) each.stop();
    vi.useRealTimers();
  });

  it('says hello, then hands events on in order and each once', () => {
    const { made, seen, resyncs } = stream();
    expect(made.status).toBe('connecting');
    last().open();
    expect(made.status).toBe('connecting');
    last().send({ epoch: 'e', seq: 4, type: 'hello' });
    expect(made.status).toBe('open');
    for (const seq of [5, 5, 6, 4, 7]) last().send(started(seq));
    expect(seen.map((event) => event.seq)).toEqual([5, 6, 7]);
    expect(resyncs).not.toHaveBeenCalled();
  });

  it('goes on where it was after a break, waiting longer each time', () => {
    const { made, seen } = stream();
    last().open();
    last().send({ epoch: 'e 1', seq: 1, type: 'hello' });
    last().send(started(2, 'e 1'));
    last().fail();
    expect(made.status).toBe('connecting');
    vi.advanceTimersByTime(250);
    expect(last().url).toBe('ws://test/events?epoch=e%201&after=2');
    last().fail();
    expect(made.status).toBe('offline');
    expect(probe).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(499);
    expect(sockets).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(sockets).toHaveLength(3);
    last().open();
    expect(made.status).toBe('open');
    last().send(started(3, 'e 1'));
    expect(seen.map((event) => event.seq)).toEqual([2, 3]);
  });

  it('believes the browser that the network is gone, and finds a server that is there all the same', () => {
    const { made } = stream();
    last().open();
    last().send({ epoch: 'e', seq: 1, type: 'hello' });
    const first = last();
    window.dispatchEvent(new Event('offline'));
    expect(first.closed).toBe(true);
    expect(made.status).toBe('offline');
    vi.advanceTimersByTime(500);
    expect(last().url).toBe('ws://test/events?epoch=e&after=1');
    last().open();
    expect(made.status).toBe('open');
    last().fail();
    window.dispatchEvent(new Event('online'));
    expect(sockets).toHaveLength(3);
    made.stop();
    window.dispatchEvent(new Event('offline'));
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(3);
  });

  it('never waits longer than a quarter of a minute', () => {
    stream();
    for (let i = 0; i < 12; i++) {
      last().fail();
      vi.advanceTimersByTime(18_000);
    }
    const before = sockets.length;
    last().fail();
    vi.advanceTimersByTime(15_000);
    expect(sockets).toHaveLength(before + 1);
  });

  it('asks again for what is missing, and fetches all when it can’t be had', () => {
    const { seen, resyncs } = stream();
    last().open();
    last().send({ epoch: 'e', seq: 1, type: 'hello' });
    const first = last();
    last().send(started(5));
    expect(first.closed).toBe(true);
    expect(last().url).toBe('ws://test/events?epoch=e&after=1');
    expect(seen).toEqual([]);
    last().open();
    last().send(started(5));
    expect(resyncs).toHaveBeenCalledTimes(1);
    expect(seen.map((event) => event.seq)).toEqual([5]);
    last().send(started(6));
    expect(seen.map((event) => event.seq)).toEqual([5, 6]);
  });

  it('fetches all after a resync and after a restart of the server', () => {
    const { resyncs, seen } = stream();
    last().open();
    last().send({ epoch: 'e', seq: 9, type: 'hello' });
    last().send({ epoch: 'e', seq: 20, type: 'resync' });
    expect(resyncs).toHaveBeenCalledTimes(1);
    last().send(started(21));
    expect(seen).toHaveLength(1);
    last().send({ epoch: 'f', seq: 3, type: 'resync' });
    expect(resyncs).toHaveBeenCalledTimes(2);
    last().send(started(4, 'f'));
    expect(seen).toHaveLength(2);
  });

  it('counts events it doesn’t know, and fetches all when one is not what was agreed', () => {
    const { seen, resyncs } = stream();
    last().open();
    last().send({ epoch: 'e', seq: 1, type: 'hello' });
    last().send({ epoch: 'e', seq: 2, type: 'from-the-future' });
    expect(resyncs).not.toHaveBeenCalled();
    last().send({ epoch: 'e', seq: 3, type: 'process', change: 'exploded' });
    expect(resyncs).toHaveBeenCalledTimes(1);
    last().send(started(4));
    expect(seen.map((event) => event.seq)).toEqual([4]);
    last().onmessage?.({ data: 'not json' });
  });

  it('stops', () => {
    const { made } = stream();
    last().open();
    made.stop();
    expect(last().closed).toBe(true);
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
    expect(made.status).toBe('idle');
  });
});
