/**
 * What is still to be told to the server, as a pure state machine: per key (a window, an app’s state) the newest value
 * that has settled, at most one request under way, and the version the server is known to be at.
 *
 * Nothing here reads a clock or makes a request: `step` takes what happened and says what to do.
 */

export interface Flight<T> {
  /** Tells this request from others of the same key. */
  ticket: number;
  value: T;
}

export interface Entry<T> {
  /** The newest settled value that has not been sent. */
  readonly pending: T | null;
  /** Not before this. */
  readonly due: number;
  readonly flight: Flight<T> | null;
  /** Failures in a row. */
  readonly attempts: number;
  /** Values whose fate is unknown: they may have arrived with only the answer lost. */
  readonly doubt: readonly T[];
}

export interface Outbox<T> {
  readonly online: boolean;
  readonly entries: ReadonlyMap<string, Entry<T>>;
  /** The version each key is known to have on the server. */
  readonly versions: ReadonlyMap<string, number>;
  readonly nextTicket: number;
}

export interface Timing<T> {
  /** How long a value must have been the newest before it is sent. */
  debounce: number;
  /** How long to wait after the n-th failure in a row. */
  retry: (attempt: number) => number;
  /** Whether two values are the same to the server. */
  same: (one: T, other: T) => boolean;
}

export type Input<T> =
  /** A value has settled. */
  | { type: 'change'; key: string; value: T; now: number }
  /** Time has passed. */
  | { type: 'tick'; now: number }
  /** The server is known to be at this version. */
  | { type: 'observed'; key: string; version: number }
  | { type: 'accepted'; key: string; ticket: number; version: number; now: number }
  /** It could not be said whether the server has it. */
  | { type: 'failed'; key: string; ticket: number; now: number }
  /** The server is elsewhere, at `current`. `keep`: the person is at it, so ours is to go on top. */
  | {
      type: 'conflict';
      key: string;
      ticket: number;
      version: number;
      current: T | null;
      keep: boolean;
      now: number;
    }
  /** The server refuses this value; trying again would not help. */
  | { type: 'refused'; key: string; ticket: number; now: number }
  /** There is no such thing any more. */
  | { type: 'gone'; key: string }
  | { type: 'online'; now: number }
  | { type: 'offline' }
  /** The page may be about to end: send everything now. */
  | { type: 'flush' };

export interface Send<T> {
  key: string;
  ticket: number;
  value: T;
  /** The version it is based on; undefined: whatever is there, this goes on top. */
  base: number | undefined;
  /** The page may not live to see the answer. */
  last: boolean;
}

export interface Outcome<T> {
  outbox: Outbox<T>;
  send: Send<T>[];
  /** Keys whose truth is now the server’s, because it was first. */
  yielded: { key: string; value: T }[];
}

export function emptyOutbox<T>(): Outbox<T> {
  return { online: true, entries: new Map(), versions: new Map(), nextTicket: 1 };
}

/** How many keys have something the server has not acknowledged. */
export function queued<T>(outbox: Outbox<T>): number {
  return outbox.entries.size;
}

/** Whether the server has yet to acknowledge something of this key. */
export function isBusy<T>(outbox: Outbox<T>, key: string): boolean {
  return outbox.entries.has(key);
}

/** When `tick` has something to do next; null: not before something else happens. */
export function nextDue<T>(outbox: Outbox<T>): number | null {
  if (!outbox.online) return null;
  let next: number | null = null;
  for (const entry of outbox.entries.values()) {
    if (entry.pending === null || entry.flight !== null) continue;
    if (next === null || entry.due < next) next = entry.due;
  }
  return next;
}

const FRESH: Entry<never> = { pending: null, due: 0, flight: null, attempts: 0, doubt: [] };

export function step<T>(outbox: Outbox<T>, input: Input<T>, timing: Timing<T>): Outcome<T> {
  const entries = new Map(outbox.entries);
  const versions = new Map(outbox.versions);
  let { online, nextTicket } = outbox;
  const send: Send<T>[] = [];
  const yielded: { key: string; value: T }[] = [];

  const put = (key: string, entry: Entry<T>): void => {
    if (entry.pending === null && entry.flight === null) entries.delete(key);
    else entries.set(key, entry);
  };
  const raise = (key: string, version: number): void => {
    if (version > (versions.get(key) ?? -1)) versions.set(key, version);
  };
  const depart = (key: string, entry: Entry<T>, value: T, last: boolean): void => {
    const ticket = nextTicket++;
    // On top of a request that is still under way no version can be right.
    const base = entry.flight === null ? versions.get(key) : undefined;
    entries.set(key, { ...entry, pending: null, flight: { ticket, value } });
    send.push({ key, ticket, value, base, last });
  };
  /** The entry whose request this answers; null for an answer that no longer counts. */
  const answered = (key: string, ticket: number): { entry: Entry<T>; flight: Flight<T> } | null => {
    const entry = entries.get(key);
    return entry?.flight?.ticket === ticket ? { entry, flight: entry.flight } : null;
  };

  switch (input.type) {
    case 'change': {
      const entry = entries.get(input.key) ?? FRESH;
      // A change while retrying waits as long as the retry would have, not less.
      const due = entry.attempts > 0 ? Math.max(entry.due, input.now) : input.now + timing.debounce;
      entries.set(input.key, { ...entry, pending: input.value, due });
      break;
    }
    case 'tick': {
      if (!online) break;
      for (const [key, entry] of [...entries]) {
        if (entry.pending !== null && entry.flight === null && entry.due <= input.now) {
          depart(key, entry, entry.pending, false);
        }
      }
      break;
    }
    case 'observed':
      raise(input.key, input.version);
      break;
    case 'accepted': {
      const found = answered(input.key, input.ticket);
      if (found === null) break;
      raise(input.key, input.version);
      put(input.key, { ...found.entry, flight: null, attempts: 0, doubt: [] });
      break;
    }
    case 'failed': {
      const found = answered(input.key, input.ticket);
      if (found === null) break;
      const { entry, flight } = found;
      put(input.key, {
        pending: entry.pending ?? flight.value,
        due: input.now + timing.retry(entry.attempts),
        flight: null,
        attempts: entry.attempts + 1,
        doubt: [...entry.doubt, flight.value].slice(-8),
      });
      break;
    }
    case 'conflict': {
      const found = answered(input.key, input.ticket);
      if (found === null) break;
      const { entry, flight } = found;
      raise(input.key, input.version);
      const { current } = input;
      const arrived = current !== null && timing.same(current, flight.value);
      // What was first may have been an earlier one of ours, whose answer was lost.
      const own = current !== null && entry.doubt.some((value) => timing.same(current, value));
      if (arrived) put(input.key, { ...entry, flight: null, attempts: 0, doubt: [] });
      else if (entry.pending !== null || input.keep || own) {
        put(input.key, {
          pending: entry.pending ?? flight.value,
          due: entry.pending === null ? input.now : entry.due,
          flight: null,
          attempts: 0,
          doubt: [],
        });
      } else {
        entries.delete(input.key);
        yielded.push({ key: input.key, value: flight.value });
      }
      break;
    }
    case 'refused': {
      const found = answered(input.key, input.ticket);
      if (found === null) break;
      put(input.key, { ...found.entry, flight: null, attempts: 0 });
      break;
    }
    case 'gone':
      entries.delete(input.key);
      versions.delete(input.key);
      break;
    case 'online':
      online = true;
      for (const [key, entry] of entries) {
        if (entry.attempts > 0)
          entries.set(key, { ...entry, due: Math.min(entry.due, input.now), attempts: 0 });
      }
      break;
    case 'offline':
      online = false;
      break;
    case 'flush':
      for (const [key, entry] of [...entries]) {
        if (entry.pending !== null) depart(key, entry, entry.pending, true);
      }
      break;
  }
  return { outbox: { online, entries, versions, nextTicket }, send, yielded };
}
