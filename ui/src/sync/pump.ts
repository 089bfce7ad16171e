import { ApiError } from '@/api/http';
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

export interface PumpOptions<T> {
  timing: Timing<T>;
  /** Makes the request. `base` undefined: last wins. */
  post: (key: string, value: T, base: number | undefined, keepalive: boolean) => Promise<{ version: number }>;
  /** Reads what the server holds out of a 409 stale_version. */
  current: (detail: unknown) => { version: number; value: T } | null;
  /** Whether the person is at it just now, so that nothing is taken from under their hands. */
  keep?: (key: string) => boolean;
  /** The server’s truth is to be shown instead of `mine`. */
  onYield: (key: string, detail: unknown, mine: T) => void;
  onGone: (key: string) => void;
  onRefused: (key: string, error: ApiError, value: T) => void;
  /** Anything about what is waiting has changed. */
  onChange?: () => void;
  now?: () => number;
}

/** Drives an outbox with a clock and requests. */
export class Pump<T> {
  #outbox: Outbox<T> = emptyOutbox();
  #options: PumpOptions<T>;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(options: PumpOptions<T>) {
    this.#options = options;
  }

  get queued(): number {
    return queued(this.#outbox);
  }

  busy(key: string): boolean {
    return isBusy(this.#outbox, key);
  }

  /** Whether sending has failed, or can’t be tried, so that the value is only here. */
  stuck(key: string): boolean {
    const entry = this.#outbox.entries.get(key);
    return entry !== undefined && (!this.#outbox.online || entry.attempts > 0);
  }

  /** What the server has not acknowledged, by key. */
  unsent(): { key: string; value: T; base: number | undefined }[] {
    return [...this.#outbox.entries].flatMap(([key, entry]) => {
      const value = entry.pending ?? entry.flight?.value ?? null;
      return value === null ? [] : [{ key, value, base: this.#outbox.versions.get(key) }];
    });
  }

  change(key: string, value: T): void {
    this.#do({ type: 'change', key, value, now: this.#now() });
  }

  observed(key: string, version: number): void {
    this.#do({ type: 'observed', key, version });
  }

  gone(key: string): void {
    this.#do({ type: 'gone', key });
  }

  online(): void {
    this.#do({ type: 'online', now: this.#now() });
  }

  offline(): void {
    this.#do({ type: 'offline' });
  }

  /** Sends all that waits: the page may be about to end. */
  flush(): void {
    this.#do({ type: 'flush' });
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }

  #do(input: Input<T>): void {
    const outcome = step(this.#outbox, input, this.#options.timing);
    this.#outbox = outcome.outbox;
    for (const send of outcome.send) void this.#send(send);
    this.#schedule();
    this.#options.onChange?.();
  }

  #schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const due = nextDue(this.#outbox);
    if (due === null) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#do({ type: 'tick', now: this.#now() });
      },
      Math.max(0, due - this.#now()),
    );
  }

  async #send({ key, ticket, value, base, last }: Send<T>): Promise<void> {
    try {
      const { version } = await this.#options.post(key, value, base, last);
      this.#do({ type: 'accepted', key, ticket, version, now: this.#now() });
    } catch (error) {
      this.#answer(key, ticket, value, error);
    }
  }

  #answer(key: string, ticket: number, value: T, error: unknown): void {
    const now = this.#now();
    // Whatever isn’t an answer may not have arrived, or may have: try again. So after a sign-in.
    if (!(error instanceof ApiError) || error.transient || error.status === 401) {
      this.#do({ type: 'failed', key, ticket, now });
      return;
    }
    if (error.status === 404 || error.status === 410) {
      this.#do({ type: 'gone', key });
      this.#options.onGone(key);
      return;
    }
    if (error.status === 409 && error.code === 'stale_version') {
      const current = this.#options.current(error.detail);
      if (current !== null) {
        const keep = this.#options.keep?.(key) ?? false;
        const before = this.#outbox;
        const input: Input<T> = {
          type: 'conflict',
          key,
          ticket,
          version: current.version,
          current: current.value,
          keep,
          now,
        };
        const yields = step(before, input, this.#options.timing).yielded;
        this.#do(input);
        for (const mine of yields) this.#options.onYield(mine.key, error.detail, mine.value);
        return;
      }
    }
    this.#do({ type: 'refused', key, ticket, now });
    this.#options.onRefused(key, error, value);
  }
}
