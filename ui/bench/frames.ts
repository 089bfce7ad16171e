/** Reads a Chromium trace: how long the page's main thread worked for each frame. */

export interface TraceEvent {
  name: string;
  ph: string;
  cat: string;
  pid: number;
  tid: number;
  /** Microseconds. */
  ts: number;
  /** How long it took, microseconds. */
  dur?: number;
  /** How long its thread was on a CPU meanwhile: without what other programs took. */
  tdur?: number;
  args?: { name?: string };
}

export interface Frames {
  count: number;
  /** Milliseconds of CPU time of the main thread in one frame. */
  median: number;
  p95: number;
  most: number;
}

/** What a main thread is given to do, one after the other; everything else it does lies within one of these. */
const TASK = 'RunTask';
/** Stands once in the task that makes a frame. */
const FRAME = 'BeginCommitCompositorFrame';

/** Between the marks `begin` and `finish`: from each frame to the next, the sum of the tasks. */
export function framesOf(events: readonly TraceEvent[]): Frames {
  const mark = (name: string): TraceEvent => {
    const found = events.find((event) => event.name === name && event.cat.includes('user_timing'));
    if (!found) throw new Error(`the trace has no mark “${name}”`);
    return found;
  };
  const begin = mark('begin');
  const end = mark('finish').ts;
  const here = events.filter(
    ({ pid, tid, ts }) => pid === begin.pid && tid === begin.tid && ts >= begin.ts && ts <= end,
  );
  const tasks = here.filter((event) => event.name === TASK && event.ph === 'X');
  const starts = here.filter((event) => event.name === FRAME).map((event) => event.ts);
  const edges = [...new Set(starts)].sort((one, other) => one - other);
  const work = edges.slice(0, -1).map((from, at) => {
    const to = edges[at + 1] ?? end;
    const inside = tasks.filter(({ ts, dur = 0 }) => ts + dur / 2 >= from && ts + dur / 2 < to);
    return inside.reduce((sum, { tdur = 0 }) => sum + tdur, 0) / 1000;
  });
  const sorted = work.sort((one, other) => one - other);
  const share = (part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return { count: sorted.length, median: share(0.5), p95: share(0.95), most: sorted.at(-1) ?? 0 };
}
