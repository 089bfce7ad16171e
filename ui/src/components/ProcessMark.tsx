import { processColor } from '@/theme/process';
import { cx } from './cx';

/** A process's colour. Never alone: the pid or the name stands beside it. */
export function ProcessMark({ pid, className }: { pid: number | null; className?: string }) {
  return (
    <span
      aria-hidden="true"
      className={cx('inline-block size-2 shrink-0 rounded-full', className)}
      style={{ background: processColor(pid) }}
    />
  );
}
