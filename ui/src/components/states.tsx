import { type LucideIcon, RotateCw, TriangleAlert } from 'lucide-react';
import { type ReactNode, useEffect, useState } from 'react';
import { Button } from './Button';
import { cx } from './cx';

export interface EmptyStateProps {
  icon?: LucideIcon;
  /** One sentence. */
  title: string;
  hint?: ReactNode;
  /** One button. */
  action?: ReactNode;
  className?: string;
}

export function EmptyState({ icon: Icon, title, hint, action, className }: EmptyStateProps) {
  return (
    <div
      className={cx('grid h-full place-content-center justify-items-center gap-2 p-6 text-center', className)}
    >
      {Icon ? <Icon size={20} strokeWidth={1.75} aria-hidden="true" className="mb-1 text-faint" /> : null}
      <p className="max-w-[52ch] text-text">{title}</p>
      {hint ? <p className="max-w-[52ch] text-sm text-muted">{hint}</p> : null}
      {action ? <div className="mt-2">{action}</div> : null}
    </div>
  );
}

export interface ErrorStateProps {
  /** What happened. */
  title: string;
  /** Why, and what to do about it. */
  hint?: ReactNode;
  retry?: () => void;
  action?: ReactNode;
  className?: string;
}

export function ErrorState({ title, hint, retry, action, className }: ErrorStateProps) {
  return (
    <div
      role="alert"
      className={cx('grid h-full place-content-center justify-items-center gap-2 p-6 text-center', className)}
    >
      <TriangleAlert size={20} strokeWidth={1.75} aria-hidden="true" className="mb-1 text-danger" />
      <p className="max-w-[52ch] text-text">{title}</p>
      {hint ? <p className="max-w-[60ch] text-sm break-words text-muted">{hint}</p> : null}
      {retry || action ? (
        <div className="mt-2 flex gap-2">
          {retry ? (
            <Button icon={RotateCw} onClick={retry}>
              Try again
            </Button>
          ) : null}
          {action}
        </div>
      ) : null}
    </div>
  );
}

/** Shows nothing for the first 150 ms, so that what is fast does not flicker. */
export function Delayed({ ms = 150, children }: { ms?: number; children: ReactNode }) {
  const [shown, setShown] = useState(ms === 0);
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), ms);
    return () => clearTimeout(timer);
  }, [ms]);
  return shown ? children : null;
}

export function Skeleton({ className }: { className?: string }) {
  return <div aria-hidden="true" className={cx('animate-pulse rounded-sm bg-active', className)} />;
}

/** Lines of text to come, in the place where they will stand. */
export function SkeletonRows({ rows = 6, delay = 150 }: { rows?: number; delay?: number }) {
  return (
    <Delayed ms={delay}>
      <div role="status" aria-label="Loading" className="flex flex-col gap-3 p-4">
        {Array.from({ length: rows }, (_, row) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the rows have no identity and never move
          <Skeleton key={row} className={cx('h-3.5', ['w-3/5', 'w-4/5', 'w-2/5'][row % 3])} />
        ))}
      </div>
    </Delayed>
  );
}
