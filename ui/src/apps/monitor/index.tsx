import { Activity, CircleStop } from 'lucide-react';
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from 'react';
import type { ProcessInfo } from '@/api/gen/uos/v1/processes_pb';
import type { Caller } from '@/api/kernel';
import { useEvent, useResync } from '@/api/live';
import {
  Button,
  Cell,
  cx,
  Dialog,
  EmptyState,
  ErrorState,
  HeadCell,
  ProcessMark,
  Row,
  SkeletonRows,
  Table,
  toast,
} from '@/components';
import { formatAmount, formatDuration, formatPercent, formatSize } from '@/format';
import { useDesktopStore } from '@/sync/desktop';
import type { AppProps } from '../contract';
import { useExplain } from '../who';
import { EVERY_MS, SAMPLES, useMachine, useSampling } from './machine';
import { type Column, type ProcessRow, readSaved, rowOf, sortRows, treeOf } from './model';
import { Sparkline } from './Sparkline';
import { usePolling, useVisible } from './visible';

/** Columns give way from the least telling on, so that a name always has room. */
const HIDE = {
  uptime: 'hidden @min-[440px]:table-cell',
  state: 'hidden @min-[540px]:table-cell',
  parent: 'hidden @min-[640px]:table-cell',
  level: 'hidden @min-[760px]:table-cell',
} as const;

const HEADS: readonly { column: Column; name: string; end?: boolean; hide?: string }[] = [
  { column: 'pid', name: 'PID', end: true },
  { column: 'name', name: 'Name' },
  { column: 'parent', name: 'Parent', end: true, hide: HIDE.parent },
  { column: 'state', name: 'State', hide: HIDE.state },
  { column: 'level', name: 'Level', hide: HIDE.level },
  { column: 'cpu', name: 'CPU', end: true },
  { column: 'memory', name: 'Memory', end: true },
  { column: 'uptime', name: 'Uptime', end: true, hide: HIDE.uptime },
];

async function fetchAll(call: Caller, signal: AbortSignal): Promise<{ list: ProcessInfo[]; nowUs: bigint }> {
  const list: ProcessInfo[] = [];
  let after = 0n;
  for (;;) {
    const part = await call('getProcessList', { afterPid: after }, { signal });
    list.push(...part.processes);
    const last = part.processes.at(-1);
    if (!part.more || last === undefined) break;
    after = last.pid;
  }
  const { uptimeUs } = await call('getUptime', {}, { signal });
  return { list, nowUs: uptimeUs };
}

interface Snapshot {
  rows: readonly ProcessRow[];
  nowUs: bigint;
}

export default function Monitor({ app, call, state, setState }: AppProps) {
  const { show, ...saved } = readSaved(state);
  const { sort, descending } = saved;
  const [element, visible] = useVisible<HTMLDivElement>();
  const [snapshot, setSnapshot] = useState<Snapshot | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [selected, setSelected] = useState<number | null>(null);
  const [doomed, setDoomed] = useState<ProcessRow | null>(null);
  const say = useExplain(app);
  const body = useRef<HTMLTableSectionElement>(null);
  const soon = useRef<ReturnType<typeof setTimeout> | null>(null);

  useSampling(visible);
  const latest = useRef<Snapshot | null>(null);
  const read = async (signal: AbortSignal): Promise<void> => {
    try {
      const { list, nowUs } = await fetchAll(call, signal);
      const old = latest.current;
      const before = new Map(old?.rows.map((row) => [row.pid, row]));
      // Two readings too close together say little about a rate: the one before stays.
      const elapsed = old === null ? 0n : nowUs - old.nowUs;
      const tooSoon = elapsed < 500_000n;
      const rows = list.map((info) => {
        const row = rowOf(info, before.get(Number(info.pid)), nowUs, elapsed);
        const earlier = before.get(row.pid);
        return tooSoon && earlier !== undefined ? { ...row, cpu: earlier.cpu, usedUs: earlier.usedUs } : row;
      });
      const next = { rows, nowUs: tooSoon && old !== null ? old.nowUs : nowUs };
      latest.current = next;
      setSnapshot(next);
      setError(null);
    } catch (failure) {
      if (!signal.aborted) setError(failure);
    }
  };
  usePolling(read, EVERY_MS, visible);

  const hurry = (): void => {
    soon.current ??= setTimeout(() => {
      soon.current = null;
      void read(new AbortController().signal);
    }, 80);
  };
  useEvent('process', (event) => {
    if (event.change === 'ended' && latest.current !== null) {
      const rows = latest.current.rows.map((row) =>
        row.pid === event.pid ? { ...row, state: 'ended' as const, cpu: null } : row,
      );
      latest.current = { ...latest.current, rows };
      setSnapshot(latest.current);
    }
    if (visible) hurry();
  });
  useResync(hurry);

  const all = snapshot?.rows ?? [];
  const rows = useMemo(
    () => sortRows(saved.ended ? all : all.filter((row) => row.state === 'running'), sort, descending),
    [all, saved.ended, sort, descending],
  );
  const chosen = rows.find((row) => row.pid === selected) ?? null;
  const focused = chosen ?? rows[0];

  const select = (row: ProcessRow | undefined, focus = false): void => {
    if (row === undefined) return;
    setSelected(row.pid);
    if (focus) {
      const line = body.current?.querySelector<HTMLElement>(`[data-pid="${row.pid}"]`);
      line?.focus();
      line?.scrollIntoView({ block: 'nearest' });
    }
  };
  const shown = rows.find((row) => row.pid === show);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when what is to be shown is there
  useEffect(() => {
    if (shown === undefined) return;
    select(shown, true);
    setState(saved);
  }, [shown?.pid]);
  const onKeyDown = (event: KeyboardEvent): void => {
    const at = focused === undefined ? 0 : rows.indexOf(focused);
    const to: Record<string, number> = {
      ArrowDown: chosen === null ? 0 : at + 1,
      ArrowUp: at - 1,
      Home: 0,
      End: rows.length - 1,
      PageDown: at + 12,
      PageUp: at - 12,
    };
    const next = to[event.key];
    if (next !== undefined && !event.ctrlKey && !event.altKey && !event.metaKey) {
      select(rows[Math.max(0, Math.min(rows.length - 1, next))], true);
    } else if (event.key === 'Delete' && chosen !== null && chosen.pid > 1) setDoomed(chosen);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div ref={element} className="@container flex h-full min-h-0 flex-col bg-surface">
      <Totals />
      <div className="flex min-h-9 items-center gap-3 border-y border-line px-3 py-1">
        <span role="status" className="min-w-0 flex-1 truncate text-sm text-muted tabular">
          {snapshot === null ? '' : formatAmount(rows.length, 'process', 'processes')}
        </span>
        <label className="flex items-center gap-1.5 text-sm">
          <input
            type="checkbox"
            checked={saved.ended}
            onChange={(event) => setState({ ...saved, ended: event.target.checked })}
          />
          Ended ones too
        </label>
        <Button
          size="sm"
          variant="danger"
          icon={CircleStop}
          disabled={chosen === null || chosen.pid <= 1 || chosen.state === 'ended'}
          onClick={() => setDoomed(chosen)}
        >
          Kill
        </Button>
      </div>
      {error !== null && snapshot !== null ? (
        <p role="alert" className="bg-warning-soft px-3 py-1 text-sm text-warning">
          {say(error)} What is shown is from before.
        </p>
      ) : null}
      <div className="min-h-0 flex-1 overflow-auto">
        {snapshot === null && error !== null ? (
          <ErrorState
            title="The processes can’t be listed."
            hint={say(error)}
            retry={() => {
              setError(null);
              void read(new AbortController().signal);
            }}
          />
        ) : snapshot === null ? (
          <SkeletonRows rows={10} />
        ) : rows.length === 0 ? (
          <EmptyState icon={Activity} title="No process is running." />
        ) : (
          <Table role="grid" aria-label="Processes" onKeyDown={onKeyDown}>
            <thead>
              <tr>
                {HEADS.map(({ column, name, end, hide }) => (
                  <HeadCell
                    key={column}
                    align={end === true ? 'end' : 'start'}
                    className={cx(hide, column === 'name' && 'w-full min-w-20')}
                    sort={{
                      direction: column !== sort ? undefined : descending ? 'descending' : 'ascending',
                      onSort: () =>
                        setState({
                          ...saved,
                          sort: column,
                          descending: column === sort ? !descending : column === 'cpu' || column === 'memory',
                        }),
                    }}
                  >
                    {name}
                  </HeadCell>
                ))}
              </tr>
            </thead>
            <tbody ref={body}>
              {rows.map((row) => (
                <ProcessLine
                  key={row.pid}
                  row={row}
                  selected={row === chosen}
                  reachable={row === focused}
                  onSelect={() => select(row)}
                />
              ))}
            </tbody>
          </Table>
        )}
      </div>
      <KillDialog row={doomed} rows={all} onClose={() => setDoomed(null)} call={call} say={say} />
    </div>
  );
}

function ProcessLine(props: {
  row: ProcessRow;
  selected: boolean;
  reachable: boolean;
  onSelect: () => void;
}) {
  const { row, selected, reachable, onSelect } = props;
  return (
    <Row
      data-pid={row.pid}
      selected={selected}
      tabIndex={reachable ? 0 : -1}
      onClick={onSelect}
      className={cx(row.state === 'ended' && 'text-faint')}
    >
      <Cell align="end" className="font-mono">
        {row.pid}
      </Cell>
      <Cell className="max-w-0">
        <span className="flex items-center gap-2">
          <ProcessMark pid={row.pid} />
          <span className="truncate" title={row.name}>
            {row.name}
          </span>
        </span>
      </Cell>
      <Cell align="end" className={cx('font-mono text-muted', HIDE.parent)}>
        {row.parent === 0 ? '' : row.parent}
      </Cell>
      <Cell className={HIDE.state}>{row.state}</Cell>
      <Cell className={cx('text-muted', HIDE.level)}>{row.program ? row.level : ''}</Cell>
      <Cell align="end">{row.cpu === null || !row.program ? '' : formatPercent(row.cpu)}</Cell>
      <Cell align="end">{row.program ? formatSize(row.memory) : ''}</Cell>
      <Cell align="end" className={cx('text-muted', HIDE.uptime)}>
        {formatDuration(row.uptimeUs)}
      </Cell>
    </Row>
  );
}

function Totals() {
  const { cpu, memory, memoryUsed, memoryTotal, cpus } = useMachine();
  const cpuNow = cpu.at(-1);
  const memoryNow = memory.at(-1);
  return (
    <div className="grid grid-cols-2 gap-4 px-3 py-2">
      <div className="min-w-0">
        <p className="flex justify-between gap-2 text-sm">
          <span className="truncate text-muted">CPU{cpus > 0 ? `, ${formatAmount(cpus, 'core')}` : ''}</span>
          <span className="tabular">{cpuNow === undefined ? '–' : formatPercent(cpuNow)}</span>
        </p>
        <Sparkline
          values={cpu}
          most={SAMPLES}
          label={`CPU over the last two minutes, now ${formatPercent(cpuNow ?? 0)}`}
          className="h-10 w-full text-accent-text"
        />
      </div>
      <div className="min-w-0">
        <p className="flex justify-between gap-2 text-sm">
          <span className="truncate text-muted">Memory</span>
          <span className="truncate tabular">
            {memoryTotal > 0n ? `${formatSize(memoryUsed)} of ${formatSize(memoryTotal)}` : '–'}
          </span>
        </p>
        <Sparkline
          values={memory}
          most={SAMPLES}
          label={`Memory over the last two minutes, now ${formatPercent(memoryNow ?? 0)}`}
          className="h-10 w-full text-success"
        />
      </div>
    </div>
  );
}

function KillDialog(props: {
  row: ProcessRow | null;
  rows: readonly ProcessRow[];
  call: Caller;
  say: (error: unknown) => string;
  onClose: () => void;
}) {
  const { row, rows, call, say, onClose } = props;
  const apps = useDesktopStore((store) => store.apps);
  if (row === null) return null;
  const below = treeOf(rows, row.pid).filter((each) => each.pid !== row.pid);
  const pids = new Set([row.pid, ...below.map((each) => each.pid)]);
  const open = Object.values(apps).filter((app) => app.pid !== null && pids.has(app.pid));
  const kill = (): void => {
    onClose();
    call('killProcess', { pid: BigInt(row.pid), tree: true })
      .then(() => toast({ tone: 'success', title: `${row.name} (${row.pid}) has been ended.` }))
      .catch((error: unknown) =>
        toast({ tone: 'danger', title: `${row.name} (${row.pid}) could not be ended.`, hint: say(error) }),
      );
  };
  return (
    <Dialog
      open
      onOpenChange={(shown) => !shown && onClose()}
      title={`Kill ${row.name} (${row.pid})?`}
      description="It ends at once and can’t be brought back. What it has not saved is lost."
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button variant="danger" icon={CircleStop} onClick={kill}>
            Kill {below.length > 0 ? formatAmount(below.length + 1, 'process', 'processes') : row.name}
          </Button>
        </>
      }
    >
      {below.length > 0 ? (
        <>
          <p>With it end:</p>
          <ul className="mt-1 max-h-40 overflow-auto">
            {below.map((each) => (
              <li key={each.pid} className="flex items-center gap-2">
                <ProcessMark pid={each.pid} />
                <span className="truncate">{each.name}</span>
                <span className="font-mono text-sm text-muted">{each.pid}</span>
              </li>
            ))}
          </ul>
        </>
      ) : null}
      {open.length > 0 ? (
        <p className="mt-2 text-sm text-muted">
          {open.map((app) => app.title).join(', ')} {open.length === 1 ? 'stays' : 'stay'} open, without a
          process, and can be restarted.
        </p>
      ) : null}
    </Dialog>
  );
}
