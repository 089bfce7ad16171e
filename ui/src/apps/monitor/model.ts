import { z } from 'zod';
import { type ProcessInfo, ProcessState } from '@/api/gen/uos/v1/processes_pb';
import type { Json } from '@/api/json';
import { LEVELS } from '../levels';

export interface ProcessRow {
  pid: number;
  parent: number;
  name: string;
  state: 'running' | 'ended';
  level: string;
  /** Of one CPU, 1 = all of it; unset until it has been seen twice. */
  cpu: number | null;
  memory: bigint;
  uptimeUs: bigint;
  /** CPU time used in all. */
  usedUs: bigint;
  /** Whether a real program is behind it. */
  program: boolean;
}

/** A row of the table, with the share of a CPU since the row before. */
export function rowOf(
  info: ProcessInfo,
  before: ProcessRow | undefined,
  nowUs: bigint,
  elapsedUs: bigint,
): ProcessRow {
  const usedUs = info.cpuUs;
  const cpu =
    before === undefined || elapsedUs <= 0n
      ? null
      : Math.max(0, Number(usedUs - before.usedUs) / Number(elapsedUs));
  return {
    pid: Number(info.pid),
    parent: Number(info.parentPid),
    name: info.name,
    state: info.state === ProcessState.EXITED ? 'ended' : 'running',
    level: LEVELS[info.level] ?? 'standard',
    cpu,
    memory: info.memoryBytes,
    uptimeUs: nowUs > info.createdUs ? nowUs - info.createdUs : 0n,
    usedUs,
    program: info.osPid !== undefined,
  };
}

export const COLUMNS = ['pid', 'name', 'parent', 'state', 'level', 'cpu', 'memory', 'uptime'] as const;
export type Column = (typeof COLUMNS)[number];

const savedSchema = z.object({
  sort: z.enum(COLUMNS).catch('pid'),
  descending: z.boolean().catch(false),
  ended: z.boolean().catch(false),
  /** A process that is to be selected once it is there, and then forgotten. */
  show: z.number().optional().catch(undefined),
});
export type Saved = z.infer<typeof savedSchema>;

export function readSaved(state: Json): Saved {
  const parsed = savedSchema.safeParse(state);
  return parsed.success ? parsed.data : { sort: 'pid', descending: false, ended: false };
}

function order(one: ProcessRow, other: ProcessRow, sort: Column): number {
  switch (sort) {
    case 'pid':
      return one.pid - other.pid;
    case 'parent':
      return one.parent - other.parent;
    case 'name':
      return one.name.localeCompare(other.name, 'en', { numeric: true });
    case 'state':
      return one.state === other.state ? 0 : one.state < other.state ? -1 : 1;
    case 'level':
      return one.level === other.level ? 0 : one.level < other.level ? -1 : 1;
    case 'cpu':
      return (one.cpu ?? -1) - (other.cpu ?? -1);
    case 'memory':
      return one.memory === other.memory ? 0 : one.memory < other.memory ? -1 : 1;
    case 'uptime':
      return one.uptimeUs === other.uptimeUs ? 0 : one.uptimeUs < other.uptimeUs ? -1 : 1;
  }
}

export function sortRows(rows: readonly ProcessRow[], sort: Column, descending: boolean): ProcessRow[] {
  const sign = descending ? -1 : 1;
  return [...rows].sort((one, other) => order(one, other, sort) * sign || one.pid - other.pid);
}

/** All that end with a process: itself and everything below it. */
export function treeOf(rows: readonly ProcessRow[], pid: number): ProcessRow[] {
  const children = new Map<number, ProcessRow[]>();
  for (const row of rows) {
    const list = children.get(row.parent);
    if (list === undefined) children.set(row.parent, [row]);
    else list.push(row);
  }
  const found: ProcessRow[] = [];
  const seen = new Set<number>();
  const wait = rows.filter((row) => row.pid === pid);
  for (let row = wait.pop(); row !== undefined; row = wait.pop()) {
    if (seen.has(row.pid)) continue;
    seen.add(row.pid);
    if (row.state === 'running') found.push(row);
    wait.push(...(children.get(row.pid) ?? []));
  }
  return found.sort((one, other) => one.pid - other.pid);
}

/** The newest values, oldest first, at most `most`. */
export function pushSample<T>(samples: readonly T[], sample: T, most: number): T[] {
  return [...samples, sample].slice(-most);
}

/** The points of a line over a box of 100 × 100, newest at the right edge; values are 0–1. */
export function linePoints(values: readonly number[], most: number): string {
  const step = most > 1 ? 100 / (most - 1) : 0;
  const first = most - values.length;
  return values
    .map((value, at) => {
      const y = 100 - Math.min(1, Math.max(0, Number.isFinite(value) ? value : 0)) * 100;
      return `${((first + at) * step).toFixed(2)},${y.toFixed(2)}`;
    })
    .join(' ');
}
