import { create } from 'zustand';
import type { RightAnswer, RightOutcome, RightRequest } from '@/api/asked';
import { useAuth } from '@/api/auth';
import { backoff } from '@/api/backoff';
import type { EventOf } from '@/api/event';
import { ApiError } from '@/api/http';
import { events } from '@/api/live';
import { tellWaiting } from '@/api/parked';
import * as routes from '@/api/routes';
import { toast } from '@/components/toast';
import { sayAsked } from './words';

/** A request as it is shown here. */
export interface Asked extends RightRequest {
  /** What this person has said, while the server has yet to take it. */
  answering: RightAnswer | null;
  /** Why the last answer was not taken; the call waits on. */
  failed: unknown;
  /** It waited no longer when it was answered here. Set until the person has seen that. */
  over: RightOutcome | 'unknown' | null;
}

interface RequestsStore {
  /** The oldest first. */
  asked: readonly Asked[];
  /** The processes whose requests this person has put off; null while the requests are shown. */
  putOff: ReadonlySet<number> | null;
}

export const useRequests = create<RequestsStore>()(() => ({ asked: [], putOff: null }));

const get = () => useRequests.getState().asked;

/** What was put off comes back when somebody else asks; and nothing stays put off when nobody asks any more. */
function set(asked: readonly Asked[]): void {
  const { putOff } = useRequests.getState();
  const more = asked.some((one) => putOff?.has(one.pid) === false);
  useRequests.setState({ asked, putOff: more || asked.length === 0 ? null : putOff });
}

/** Puts off what is asked by now, and what needs no answer any more for good. */
export function putOff(): void {
  const asked = get().filter((one) => one.over === null);
  useRequests.setState({ asked, putOff: asked.length === 0 ? null : new Set(asked.map((one) => one.pid)) });
}

/** Shows what was put off. */
export function show(): void {
  useRequests.setState({ putOff: null });
}

tellWaiting((pid) => get().some((one) => one.pid === pid && one.over === null));

const fresh = (request: RightRequest): Asked => ({ ...request, answering: null, failed: null, over: null });

/** How many calls wait for this person. */
export function waiting(asked: readonly Asked[]): number {
  return asked.reduce((count, one) => count + (one.over === null ? 1 : 0), 0);
}

function change(id: number, to: Partial<Asked>): void {
  if (get().some((one) => one.id === id)) {
    set(get().map((one) => (one.id === id ? { ...one, ...to } : one)));
  }
}

function drop(id: number): void {
  if (get().some((one) => one.id === id)) set(get().filter((one) => one.id !== id));
}

/** What was heard of while a list of all was on its way: of these, the list may be the older. */
let came = new Map<number, RightRequest>();
let went = new Set<number>();

function onRequested({ id, pid, name, call, right, abridged, ...event }: EventOf<'right_requested'>): void {
  const request = { id, pid, name, call, right, arguments: event.arguments, abridged };
  came.set(id, request);
  if (get().some((one) => one.id === id)) return;
  set([...get(), fresh(request)]);
}

const SAID: Readonly<Record<RightAnswer, RightOutcome>> = { once: 'once', always: 'always', deny: 'denied' };

function onSettled({ id, outcome }: EventOf<'right_settled'>): void {
  went.add(id);
  const one = get().find((asked) => asked.id === id);
  if (one === undefined) return;
  // Somebody else was faster, or it had gone: whoever is just answering is told, instead of being left to wonder.
  const crossed = one.over !== null || (one.answering !== null && SAID[one.answering] !== outcome);
  if (crossed) change(id, { answering: null, failed: null, over: outcome });
  else drop(id);
  if (!crossed && outcome === 'timed_out') {
    toast({ tone: 'warning', title: `${sayAsked(one)}.`, hint: 'Nobody answered in time: it was refused.' });
  }
}

/** Answers; what comes of it is to be seen in the request. */
export async function answer(id: number, said: RightAnswer): Promise<void> {
  const one = get().find((asked) => asked.id === id);
  if (one === undefined || one.answering !== null || one.over !== null) return;
  change(id, { answering: said, failed: null });
  try {
    await routes.answerRightRequest(id, said);
    went.add(id);
    drop(id);
  } catch (error) {
    const gone = error instanceof ApiError && error.status === 404;
    const now = get().find((asked) => asked.id === id);
    // What the event has told meanwhile is known better than that it is gone.
    if (now === undefined || now.over !== null) return;
    if (gone) went.add(id);
    change(id, { answering: null, failed: gone ? null : error, over: gone ? 'unknown' : null });
  }
}

/** Takes away a request that waits no longer. */
export function dismiss(id: number): void {
  if (get().some((one) => one.id === id && one.over !== null)) drop(id);
}

/** A list, amended by what was heard since it was asked for. What was answered here and is over stays to be seen. */
function take(list: readonly RightRequest[]): void {
  const known = new Map(get().map((one) => [one.id, one]));
  const all = new Map([...list.map((one) => [one.id, one] as const), ...came]);
  const shown = [...all.values()]
    .filter(({ id }) => !went.has(id))
    .map((one) => known.get(one.id) ?? fresh(one));
  const over = get().filter((one) => one.over !== null && !shown.includes(one));
  set([...over, ...shown].toSorted((one, other) => one.id - other.id));
}

let fetching: Promise<void> | null = null;
let stale = false;
let again: ReturnType<typeof setTimeout> | null = null;
let failures = 0;

/** Fetches all that wait. If it is called meanwhile, once more after that. */
function load(): Promise<void> {
  if (fetching !== null) {
    stale = true;
    return fetching;
  }
  if (again !== null) clearTimeout(again);
  again = null;
  stale = false;
  came = new Map();
  went = new Set();
  fetching = routes
    .listRightRequests()
    .then((list) => {
      failures = 0;
      take(list);
    })
    .catch((error: unknown) => {
      // Signed out, or not allowed to know: then there is nothing to wait for.
      if (!(error instanceof ApiError && error.transient)) return;
      again = setTimeout(() => void load(), backoff(failures, 500));
      failures += 1;
    })
    .finally(() => {
      fetching = null;
      if (stale) void load();
    });
  return fetching;
}

/** Begins to follow what is asked for; returns how to stop. */
export function startRequests(): () => void {
  const stops = [
    events.subscribe('right_requested', onRequested),
    events.subscribe('right_settled', onSettled),
    // What came between the list and the first event was heard by nobody.
    events.subscribe('hello', () => void load()),
    events.onResync(() => void load()),
    useAuth.subscribe((auth) => {
      if (!auth.signedOut) void load();
    }),
  ];
  void load();
  return () => {
    for (const stop of stops) stop();
    if (again !== null) clearTimeout(again);
    again = null;
  };
}
