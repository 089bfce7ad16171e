import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  emptyOutbox,
  type Input,
  isBusy,
  nextDue,
  type Outbox,
  queued,
  type Send,
  step,
  type Timing,
} from './outbox';

const timing: Timing<number> = {
  debounce: 150,
  retry: (attempt) => 100 * 2 ** Math.min(attempt, 5),
  same: (one, other) => one === other,
};

/** An outbox with what it has sent and yielded so far. */
function harness() {
  let outbox: Outbox<number> = emptyOutbox();
  const sent: Send<number>[] = [];
  const yielded: { key: string; value: number }[] = [];
  return {
    sent,
    yielded,
    get outbox() {
      return outbox;
    },
    do(input: Input<number>): Send<number>[] {
      const outcome = step(outbox, input, timing);
      outbox = outcome.outbox;
      sent.push(...outcome.send);
      yielded.push(...outcome.yielded);
      return outcome.send;
    },
  };
}

describe('outbox', () => {
  it('sends the newest of many quick changes, once it has settled', () => {
    const h = harness();
    h.do({ type: 'observed', key: 'a', version: 4 });
    for (let i = 0; i < 20; i++) h.do({ type: 'change', key: 'a', value: i, now: i * 10 });
    expect(h.do({ type: 'tick', now: 339 })).toEqual([]);
    expect(nextDue(h.outbox)).toBe(340);
    expect(h.do({ type: 'tick', now: 340 })).toEqual([
      { key: 'a', ticket: 1, value: 19, base: 4, last: false },
    ]);
    expect(h.do({ type: 'tick', now: 9999 })).toEqual([]);
    h.do({ type: 'accepted', key: 'a', ticket: 1, version: 5, now: 9999 });
    expect(queued(h.outbox)).toBe(0);
  });

  it('keeps one request under way per key and sends the next on top of its answer', () => {
    const h = harness();
    h.do({ type: 'change', key: 'a', value: 1, now: 0 });
    h.do({ type: 'tick', now: 150 });
    h.do({ type: 'change', key: 'a', value: 2, now: 160 });
    expect(h.do({ type: 'tick', now: 1000 })).toEqual([]);
    h.do({ type: 'accepted', key: 'a', ticket: 1, version: 8, now: 1000 });
    expect(h.do({ type: 'tick', now: 1000 })).toEqual([
      { key: 'a', ticket: 2, value: 2, base: 8, last: false },
    ]);
  });

  it('tries again later after a failure, with what is newest by then', () => {
    const h = harness();
    h.do({ type: 'change', key: 'a', value: 1, now: 0 });
    h.do({ type: 'tick', now: 150 });
    h.do({ type: 'failed', key: 'a', ticket: 1, now: 200 });
    expect(nextDue(h.outbox)).toBe(300);
    h.do({ type: 'change', key: 'a', value: 2, now: 210 });
    expect(h.do({ type: 'tick', now: 299 })).toEqual([]);
    expect(h.do({ type: 'tick', now: 300 }).map((send) => send.value)).toEqual([2]);
  });

  it('holds everything while offline and lets it go at once when online', () => {
    const h = harness();
    h.do({ type: 'offline' });
    h.do({ type: 'change', key: 'a', value: 1, now: 0 });
    h.do({ type: 'change', key: 'b', value: 2, now: 0 });
    expect(nextDue(h.outbox)).toBeNull();
    expect(h.do({ type: 'tick', now: 5000 })).toEqual([]);
    expect(queued(h.outbox)).toBe(2);
    h.do({ type: 'online', now: 5000 });
    expect(h.do({ type: 'tick', now: 5000 })).toHaveLength(2);
  });

  it('yields to the server on a conflict', () => {
    const h = harness();
    h.do({ type: 'change', key: 'a', value: 1, now: 0 });
    h.do({ type: 'tick', now: 150 });
    h.do({ type: 'conflict', key: 'a', ticket: 1, version: 9, current: 77, keep: false, now: 160 });
    expect(h.yielded).toEqual([{ key: 'a', value: 1 }]);
    expect(isBusy(h.outbox, 'a')).toBe(false);
  });

  it('goes on top of the server while the person is at it, or has done more since', () => {
    for (const more of [false, true]) {
      const h = harness();
      h.do({ type: 'change', key: 'a', value: 1, now: 0 });
      h.do({ type: 'tick', now: 150 });
      if (more) h.do({ type: 'change', key: 'a', value: 2, now: 155 });
      h.do({ type: 'conflict', key: 'a', ticket: 1, version: 9, current: 77, keep: !more, now: 160 });
      expect(h.yielded).toEqual([]);
      expect(h.do({ type: 'tick', now: 400 })).toEqual([
        { key: 'a', ticket: 2, value: more ? 2 : 1, base: 9, last: false },
      ]);
    }
  });

  it('knows its own earlier value again when only the answer to it was lost', () => {
    const h = harness();
    h.do({ type: 'observed', key: 'a', version: 1 });
    h.do({ type: 'change', key: 'a', value: 1, now: 0 });
    h.do({ type: 'tick', now: 150 });
    h.do({ type: 'failed', key: 'a', ticket: 1, now: 160 });
    h.do({ type: 'change', key: 'a', value: 2, now: 170 });
    expect(h.do({ type: 'tick', now: 1000 })).toMatchObject([{ value: 2, base: 1 }]);
    h.do({ type: 'conflict', key: 'a', ticket: 2, version: 2, current: 1, keep: false, now: 1010 });
    expect(h.yielded).toEqual([]);
    expect(h.do({ type: 'tick', now: 1010 })).toMatchObject([{ value: 2, base: 2 }]);
  });

  it('forgets what is gone and what is refused', () => {
    const h = harness();
    h.do({ type: 'change', key: 'a', value: 1, now: 0 });
    h.do({ type: 'change', key: 'b', value: 1, now: 0 });
    h.do({ type: 'tick', now: 150 });
    h.do({ type: 'gone', key: 'a' });
    h.do({ type: 'refused', key: 'b', ticket: 2, now: 160 });
    expect(queued(h.outbox)).toBe(0);
    h.do({ type: 'accepted', key: 'a', ticket: 1, version: 2, now: 170 });
    expect(queued(h.outbox)).toBe(0);
  });

  it('sends what is left when the page ends, on top of whatever is under way', () => {
    const h = harness();
    h.do({ type: 'observed', key: 'b', version: 3 });
    h.do({ type: 'change', key: 'a', value: 1, now: 0 });
    h.do({ type: 'tick', now: 150 });
    h.do({ type: 'change', key: 'a', value: 2, now: 160 });
    h.do({ type: 'change', key: 'b', value: 3, now: 160 });
    expect(h.do({ type: 'flush' })).toEqual([
      { key: 'a', ticket: 2, value: 2, base: undefined, last: true },
      { key: 'b', ticket: 3, value: 3, base: 3, last: true },
    ]);
    // The page lives on after all: the overtaken answer no longer counts.
    h.do({ type: 'accepted', key: 'a', ticket: 1, version: 2, now: 200 });
    expect(isBusy(h.outbox, 'a')).toBe(true);
    h.do({ type: 'accepted', key: 'a', ticket: 2, version: 3, now: 210 });
    expect(isBusy(h.outbox, 'a')).toBe(false);
  });
});

/** A server that keeps a value and a version per key, as the real one does. */
class Server {
  readonly values = new Map<string, { value: number; version: number }>();

  post(key: string, value: number, base: number | undefined): { ok: boolean; version: number } {
    const now = this.values.get(key) ?? { value: -1, version: 1 };
    if (base !== undefined && base !== now.version) return { ok: false, version: now.version };
    this.values.set(key, { value, version: now.version + 1 });
    return { ok: true, version: now.version + 1 };
  }
}

const keys = ['a', 'b', 'c'] as const;
const action = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('change' as const), key: fc.constantFrom(...keys) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 400 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      pick: fc.nat({ max: 7 }),
      // lost: it never came there; unheard: it did, but the answer was lost.
      how: fc.constantFrom('ok' as const, 'ok' as const, 'lost' as const, 'unheard' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('link' as const), up: fc.boolean() }) },
);

describe('outbox against a naive server', () => {
  it('ends with the last value of every key on the server, sent once, one at a time', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
        const server = new Server();
        const last = new Map<string, number>();
        const failures = new Map<number, number>();
        const sends = new Map<number, number>();
        let flights: Send<number>[] = [];
        let outbox: Outbox<number> = emptyOutbox();
        let now = 0;
        let counter = 0;

        const apply = (input: Input<number>): void => {
          const outcome = step(outbox, input, timing);
          outbox = outcome.outbox;
          for (const send of outcome.send) {
            expect(flights.some((flight) => flight.key === send.key)).toBe(false);
            sends.set(send.value, (sends.get(send.value) ?? 0) + 1);
            // Never again without a failure in between.
            expect(sends.get(send.value)).toBeLessThanOrEqual(1 + (failures.get(send.value) ?? 0));
            flights.push(send);
          }
        };
        const answer = (flight: Send<number>, how: 'ok' | 'lost' | 'unheard'): void => {
          flights = flights.filter((other) => other !== flight);
          const { key, ticket } = flight;
          const reply = how === 'lost' ? null : server.post(key, flight.value, flight.base);
          if (reply === null || how === 'unheard') {
            failures.set(flight.value, (failures.get(flight.value) ?? 0) + 1);
            apply({ type: 'failed', key, ticket, now });
          } else if (reply.ok) apply({ type: 'accepted', key, ticket, version: reply.version, now });
          else {
            failures.set(flight.value, (failures.get(flight.value) ?? 0) + 1);
            const current = server.values.get(key)?.value ?? null;
            apply({ type: 'conflict', key, ticket, version: reply.version, current, keep: false, now });
          }
        };

        for (const key of keys) apply({ type: 'observed', key, version: 1 });
        for (const act of actions) {
          if (act.do === 'change') {
            counter += 1;
            last.set(act.key, counter);
            apply({ type: 'change', key: act.key, value: counter, now });
          } else if (act.do === 'pass') {
            now += act.ms;
            apply({ type: 'tick', now });
          } else if (act.do === 'link') {
            apply(act.up ? { type: 'online', now } : { type: 'offline' });
          } else {
            const flight = flights[act.pick % Math.max(1, flights.length)];
            if (flight !== undefined) answer(flight, act.how);
          }
          expect(queued(outbox)).toBeLessThanOrEqual(keys.length);
        }

        apply({ type: 'online', now });
        for (let round = 0; queued(outbox) > 0; round++) {
          expect(round).toBeLessThan(50);
          for (const flight of [...flights]) answer(flight, 'ok');
          now = Math.max(now, nextDue(outbox) ?? now);
          apply({ type: 'tick', now });
        }
        for (const [key, value] of last) expect(server.values.get(key)?.value).toBe(value);
      }),
      { numRuns: 500 },
    );
  });

  it('never hands two tabs the same truth twice: whoever yields shows what the server has', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ tab: fc.nat({ max: 1 }), wait: fc.integer({ min: 0, max: 300 }) }), {
          maxLength: 60,
        }),
        (actions) => {
          const server = new Server();
          server.values.set('a', { value: 0, version: 1 });
          const tabs = [0, 1].map(() => ({ outbox: emptyOutbox<number>(), shows: 0 }));
          let now = 0;
          let counter = 0;
          const apply = (tab: (typeof tabs)[number], input: Input<number>): void => {
            const outcome = step(tab.outbox, input, timing);
            tab.outbox = outcome.outbox;
            for (const { key, ticket, value, base } of outcome.send) {
              const reply = server.post(key, value, base);
              if (reply.ok) {
                apply(tab, { type: 'accepted', key, ticket, version: reply.version, now });
                const other = tabs.find((candidate) => candidate !== tab);
                if (other !== undefined) {
                  if (!isBusy(other.outbox, 'a')) {
                    other.shows = value;
                    apply(other, { type: 'observed', key, version: reply.version });
                  }
                }
              } else {
                const current = server.values.get(key)?.value ?? null;
                apply(tab, {
                  type: 'conflict',
                  key,
                  ticket,
                  version: reply.version,
                  current,
                  keep: false,
                  now,
                });
              }
            }
            for (const { key } of outcome.yielded) tab.shows = server.values.get(key)?.value ?? -1;
          };
          for (const tab of tabs) apply(tab, { type: 'observed', key: 'a', version: 1 });
          for (const act of actions) {
            const tab = tabs[act.tab];
            if (tab === undefined) continue;
            counter += 1;
            tab.shows = counter;
            apply(tab, { type: 'change', key: 'a', value: counter, now });
            now += act.wait;
            for (const each of tabs) apply(each, { type: 'tick', now });
          }
          for (let round = 0; tabs.some((tab) => queued(tab.outbox) > 0); round++) {
            expect(round).toBeLessThan(50);
            now += 1000;
            for (const each of tabs) apply(each, { type: 'tick', now });
          }
          for (const tab of tabs) expect(tab.shows).toBe(server.values.get('a')?.value);
        },
      ),
      { numRuns: 300 },
    );
  });
});
