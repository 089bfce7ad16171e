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
  /** CPU time used by all, and the clock it was read at. */
  busyUs: bigint;
  atUs: bigint;
}

let before: Reading | null = null;

async function sample(): Promise<void> {
  // Not with the first load: the taskbar can wait for its graphs.
  const { callAs } = await import('@/api/kernel');
  const call = callAs(0);
  const [processes, uptime] = await Promise.all([call('getProcessList', {}), call('getUptime', {})]);
  let busyUs = 0n;
  let used = 0n;
  for (const { usage } of processes.processes) {
    busyUs += (usage?.cpuUserUs ?? 0n) + (usage?.cpuSystemUs ?? 0n);
    used += usage?.residentBytes ?? 0n;
  }
  const now: Reading = { busyUs, atUs: uptime.uptimeUs };
  const share =
    before === null || now.atUs <= before.atUs
      ? 0
      : Number(now.busyUs - before.busyUs) / Number(now.atUs - before.atUs);
  before = now;
  useMachine.setState((old) => ({
    cpu: pushSample(old.cpu, Math.max(0, share), SAMPLES),
    memory: old.memory,
    memoryUsed: used,
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
