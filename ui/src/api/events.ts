import { backoff } from './backoff';
import { type EventOf, type EventType, eventSchema, frameSchema, type SystemEvent } from './event';

/** connecting: on the way; open: events flow; offline: at least one try has failed. */
export type StreamStatus = 'idle' | 'connecting' | 'open' | 'offline';

type Listener<T> = (value: T) => void;

interface Position {
  epoch: string | number;
  seq: number;
}

export interface EventStreamOptions {
  url: (query: string) => string;
  open: (url: string) => WebSocket;
  /** Called when a connection could not be made: to find out whether we are signed out. */
  probe?: () => void;
}

function addressOf(query: string): string {
  const { protocol, host } = globalThis.location;
  return `${protocol === 'https:' ? 'wss:' : 'ws:'}//${host}/events${query}`;
}

/**
 * The system’s events, in order and each once. A broken connection is taken up where it ended; where that isn’t
 * possible, everyone who listens to `resync` is told to fetch again what they show.
 */
export class EventStream {
  #options: EventStreamOptions;
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #position: Position | null = null;
  #status: StreamStatus = 'idle';
  #attempt = 0;
  #gapAt = -1;
  #running = false;
  #listeners = new Map<EventType, Set<Listener<SystemEvent>>>();
  #statusListeners = new Set<Listener<StreamStatus>>();
  #resyncListeners = new Set<Listener<void>>();

  constructor(options: Partial<EventStreamOptions> = {}) {
    this.#options = { url: addressOf, open: (url) => new WebSocket(url), ...options };
  }

  get status(): StreamStatus {
    return this.#status;
  }

  get position(): Position | null {
    return this.#position;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    globalThis.addEventListener?.('online', this.#hurry);
    globalThis.addEventListener?.('offline', this.#lost);
    this.#connect();
  }

  stop(): void {
    this.#running = false;
    globalThis.removeEventListener?.('online', this.#hurry);
    globalThis.removeEventListener?.('offline', this.#lost);
    this.#clearTimer();
    this.#drop();
    this.#setStatus('idle');
  }

  /** Tries at once instead of waiting for the next turn. */
  retry(): void {
    this.#hurry();
  }

  subscribe<T extends EventType>(type: T, listener: Listener<EventOf<T>>): () => void {
    const set = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, set);
    const entry = listener as Listener<SystemEvent>;
    set.add(entry);
    return () => set.delete(entry);
  }

  onStatus(listener: Listener<StreamStatus>): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  /** Called when events were missed for good. */
  onResync(listener: Listener<void>): () => void {
    this.#resyncListeners.add(listener);
    return () => this.#resyncListeners.delete(listener);
  }

  #hurry = (): void => {
    if (!this.#running || this.#status === 'open') return;
    this.#attempt = 0;
    this.#clearTimer();
    this.#drop();
    this.#connect();
  };

  /** The browser knows that the network is gone long before a connection would notice. A server on this machine is
   *  there all the same, and the next try finds it. */
  #lost = (): void => {
    if (!this.#running) return;
    this.#drop();
    this.#attempt = Math.max(1, this.#attempt);
    this.#later();
  };

  #connect(): void {
    if (this.#status !== 'offline') this.#setStatus('connecting');
    const query =
      this.#position === null
        ? ''
        : `?epoch=${encodeURIComponent(String(this.#position.epoch))}&after=${this.#position.seq}`;
    let socket: WebSocket;
    try {
      socket = this.#options.open(this.#options.url(query));
    } catch {
      this.#later();
      return;
    }
    this.#socket = socket;
    let opened = false;
    socket.onopen = () => {
      if (this.#socket !== socket) return;
      opened = true;
      // A resumed stream says nothing until something happens; a new one says hello.
      if (this.#position !== null) this.#setStatus('open');
    };
    socket.onmessage = (message) => {
      if (this.#socket === socket && typeof message.data === 'string') this.#frame(message.data);
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      if (!this.#running) return;
      if (!opened) this.#options.probe?.();
      this.#later();
    };
  }

  #frame(text: string): void {
    let raw: unknown;
    try {
      raw = JSON.parse(text);
    } catch {
      return;
    }
    const frame = frameSchema.safeParse(raw);
    if (!frame.success) return;
    const { epoch, seq, type } = frame.data;
    this.#attempt = 0;

    if (type === 'hello') {
      const known = this.#position;
      this.#position = { epoch, seq };
      this.#setStatus('open');
      this.#emit(raw);
      // We had a position and the server doesn’t go on from it.
      if (known !== null && (known.epoch !== epoch || known.seq !== seq)) this.#resync();
      return;
    }
    if (type === 'resync') {
      this.#position = { epoch, seq };
      this.#setStatus('open');
      this.#resync();
      return;
    }
    const at = this.#position;
    if (at === null || at.epoch !== epoch) {
      this.#position = { epoch, seq };
      this.#resync();
      return;
    }
    if (seq <= at.seq) return;
    if (seq > at.seq + 1) {
      if (this.#gapAt === at.seq) {
        // Asking again did not fill it.
        this.#gapAt = -1;
        this.#position = { epoch, seq };
        this.#emit(raw);
        this.#resync();
        return;
      }
      this.#gapAt = at.seq;
      this.#drop();
      this.#connect();
      return;
    }
    this.#gapAt = -1;
    this.#position = { epoch, seq };
    this.#emit(raw);
  }

  #emit(raw: unknown): void {
    const parsed = eventSchema.safeParse(raw);
    if (!parsed.success) {
      const type = (raw as { type?: unknown }).type;
      // An event of a kind we know in a shape we don’t: what it would have told us must be fetched.
      if (typeof type === 'string' && this.#listeners.has(type as EventType)) {
        console.error(`An event of type ${type} is not what was agreed.`, parsed.error.issues);
        this.#resync();
      }
      return;
    }
    for (const listener of [...(this.#listeners.get(parsed.data.type) ?? [])]) listener(parsed.data);
  }

  #resync(): void {
    for (const listener of [...this.#resyncListeners]) listener();
  }

  #later(): void {
    // The first try after a break is quick and quiet; only when it fails do we say so.
    this.#setStatus(this.#attempt === 0 && this.#status === 'open' ? 'connecting' : 'offline');
    const wait = backoff(this.#attempt);
    this.#attempt += 1;
    this.#clearTimer();
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#running) this.#connect();
    }, wait);
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #setStatus(status: StreamStatus): void {
    if (status === this.#status) return;
    this.#status = status;
    for (const listener of [...this.#statusListeners]) listener(status);
  }
}
