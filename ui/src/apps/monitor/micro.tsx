import { formatPercent } from '@/format';
import { SAMPLES, useMachine, useSampling } from './machine';
import { Sparkline } from './Sparkline';

/** CPU and memory of the machine, small enough for the taskbar. */
export function MicroGraphs() {
  useSampling(true);
  const { cpu, memory } = useMachine();
  const cpuNow = cpu.at(-1) ?? 0;
  const memoryNow = memory.at(-1) ?? 0;
  return (
    <span
      className="flex items-center gap-3"
      title={`CPU ${formatPercent(cpuNow)}, memory ${formatPercent(memoryNow)}`}
    >
      <Graph name="CPU" values={cpu} now={cpuNow} className="text-accent-text" />
      <Graph name="Memory" values={memory} now={memoryNow} className="text-success" />
    </span>
  );
}

function Graph(props: { name: string; values: readonly number[]; now: number; className: string }) {
  return (
    <Sparkline
      values={props.values.slice(-30)}
      most={Math.min(30, SAMPLES)}
      label={`${props.name} ${formatPercent(props.now)}`}
      className={`h-5 w-10 ${props.className}`}
    />
  );
}
