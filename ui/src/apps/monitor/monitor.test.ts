import { create } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { SandboxLevel } from '@/api/gen/uos/v1/common_pb';
import { ProcessInfoSchema, ProcessState } from '@/api/gen/uos/v1/processes_pb';
import { shareOf } from './machine';
import { linePoints, type ProcessRow, pushSample, readSaved, rowOf, sortRows, treeOf } from './model';

const row = (pid: number, parent: number, more: Partial<ProcessRow> = {}): ProcessRow => ({
  pid,
  parent,
  name: `p${pid}`,
  state: 'running',
  level: 'standard',
  cpu: null,
  memory: 0n,
  uptimeUs: 0n,
  usedUs: 0n,
  program: true,
  ...more,
});

it('tells the share of a CPU between two readings', () => {
  const info = create(ProcessInfoSchema, {
    pid: 7n,
    parentPid: 1n,
    name: 'x',
    state: ProcessState.RUNNING,
    level: SandboxLevel.MINIMAL,
    createdUs: 1_000_000n,
    cpuUs: 3_000_000n,
    memoryBytes: 4096n,
    osPid: 99,
  });
  const first = rowOf(info, undefined, 5_000_000n, 0n);
  expect(first).toMatchObject({
    pid: 7,
    parent: 1,
    level: 'minimal',
    cpu: null,
    uptimeUs: 4_000_000n,
    memory: 4096n,
  });
  expect(rowOf(info, row(7, 1, { usedUs: 2_000_000n }), 6_000_000n, 2_000_000n).cpu).toBe(0.5);
  // The figure may step back a little.
  expect(rowOf(info, row(7, 1, { usedUs: 3_000_001n }), 6_000_000n, 2_000_000n).cpu).toBe(0);
});

it('tells the share of the machine', () => {
  expect(shareOf(null, { busy: 1n, total: 2n })).toBeNull();
  expect(shareOf({ busy: 10n, total: 100n }, { busy: 35n, total: 200n })).toBe(0.25);
  expect(shareOf({ busy: 10n, total: 100n }, { busy: 10n, total: 100n })).toBeNull();
});

it('sorts by any column, and by pid where that says nothing', () => {
  const rows = [row(3, 1, { cpu: 0.5 }), row(1, 0), row(2, 1, { cpu: 0.5, memory: 9n })];
  expect(sortRows(rows, 'cpu', true).map((each) => each.pid)).toEqual([2, 3, 1]);
  expect(sortRows(rows, 'memory', true)[0]?.pid).toBe(2);
  expect(sortRows(rows, 'name', false).map((each) => each.pid)).toEqual([1, 2, 3]);
});

it('finds all that end with a process, even in a list that goes in circles', () => {
  const rows = [row(1, 0), row(2, 1), row(3, 2), row(4, 1), row(5, 3, { state: 'ended' })];
  expect(treeOf(rows, 2).map((each) => each.pid)).toEqual([2, 3]);
  expect(treeOf([row(1, 2), row(2, 1)], 1).map((each) => each.pid)).toEqual([1, 2]);
  expect(treeOf(rows, 99)).toEqual([]);
});

it('draws the newest at the right edge, and never outside', () => {
  expect(pushSample([1, 2, 3], 4, 3)).toEqual([2, 3, 4]);
  expect(linePoints([0, 1], 3)).toBe('50.00,100.00 100.00,0.00');
  expect(linePoints([-1, 5, Number.NaN], 3)).toBe('0.00,100.00 50.00,0.00 100.00,100.00');
});

it('takes no nonsense for its state', () => {
  expect(readSaved({ sort: 'evil', descending: 7 })).toEqual({
    sort: 'pid',
    descending: false,
    ended: false,
  });
  expect(readSaved(null).sort).toBe('pid');
});
