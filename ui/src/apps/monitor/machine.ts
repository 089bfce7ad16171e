import { useEffect } from 'react';
import { create } from 'zustand';
import { pushSample } from './model';

/** How many samples are kept: two minutes of one every two seconds. */
export const SAMPLES = 60;
export const EVERY_MS = 2_000;

export interface Machine {
  /** Share of all CPUs, 0–1, oldest first. */
  cpu: readonly number[];
  /** Share of all memory, 0–1, oldest first. */
  memory: readonly number[];
  memoryUsed: bigint;
  memoryTotal: bigint;
  cpus: number;
}

export const useMachine = create<Machine>(() => ({
  cpu: [],
  memory: [],
  memoryUsed: 0n,
  memoryTotal: 0n,
  cpus: 0,
}));

interface Reading {
  busy: bigint;
  total: bigint;
}

let before: Reading | null = null;

/** The share of busy time between two readings, 0–1; null where it can’t be told. */
export function shareOf(earlier: Reading | null, later: Reading): number | null {
  if (earlier === null || later.total <= earlier.total) return null;
  const share = Number(later.busy - earlier.busy) / Number(later.total - earlier.total);
  return Math.min(1, Math.max(0, share));
}

async function sample(): Promise<void> {
  // Not with the first load: the taskbar can wait for its graphs.
  const { callAs } = await import('@/api/kernel');
  const call = callAs(0);
  const [info, stats] = await Promise.all([call('getSystemInfo', {}), call('getMemoryStats', {})]);
  const reading = { busy: info.cpuBusyUs, total: info.cpuTotalUs };
  const share = shareOf(before, reading);
  before = reading;
  const total = stats.hostTotalBytes;
  const used = total > stats.hostAvailableBytes ? total - stats.hostAvailableBytes : 0n;
  useMachine.setState((old) => ({
    cpu: share === null ? old.cpu : pushSample(old.cpu, share, SAMPLES),
    memory: total === 0n ? old.memory : pushSample(old.memory, Number(used) / Number(total), SAMPLES),
    memoryUsed: used,
    memoryTotal: total,
    cpus: info.cpus,
  }));
}

let users = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

function turn(): void {
  clearTimeout(timer);
  if (users === 0 || document.visibilityState === 'hidden') return;
  sample()
    .catch(() => undefined)
    .finally(() => {
      clearTimeout(timer);
      if (users > 0) timer = setTimeout(turn, EVERY_MS);
    });
}

/** Samples the machine for as long as somebody looks; all who do share the samples. */
export function useSampling(on: boolean): void {
  useEffect(() => {
    if (!on) return;
    users += 1;
    if (users === 1) {
      document.addEventListener('visibilitychange', turn);
      turn();
    }
    return () => {
      users -= 1;
      if (users > 0) return;
      document.removeEventListener('visibilitychange', turn);
      clearTimeout(timer);
    };
  }, [on]);
}
