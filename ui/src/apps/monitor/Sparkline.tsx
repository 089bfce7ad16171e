import { cx } from '@/components';
import { linePoints } from './model';

interface SparklineProps {
  /** 0–1, oldest first. */
  values: readonly number[];
  /** How many fit from edge to edge. */
  most: number;
  /** Said to those who can’t see it. */
  label: string;
  className?: string;
}

export function Sparkline({ values, most, label, className }: SparklineProps) {
  const points = linePoints(values, most);
  const first = values.length === 0 ? 100 : ((most - values.length) * 100) / Math.max(1, most - 1);
  return (
    <svg
      viewBox="0 0 100 100"
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
      className={cx('overflow-visible rounded-sm bg-hover', className)}
    >
      {values.length > 1 ? (
        <>
          <polygon points={`${first.toFixed(2)},100 ${points} 100,100`} fill="currentColor" opacity="0.14" />
          <polyline
            points={points}
            fill="none"
            stroke="currentColor"
            strokeWidth="1.5"
            strokeLinejoin="round"
            vectorEffect="non-scaling-stroke"
          />
        </>
      ) : null}
    </svg>
  );
}
