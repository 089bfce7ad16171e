import { ArrowDown, ArrowUp } from 'lucide-react';
import type { ComponentProps, ReactNode } from 'react';
import { cx } from './cx';

/** Dense, with a header that stays: put it straight into the scrolling element. */
export function Table({ className, ...rest }: ComponentProps<'table'>) {
  return <table className={cx('w-full border-separate border-spacing-0 text-sm', className)} {...rest} />;
}

export interface HeadCellProps {
  children: ReactNode;
  align?: 'start' | 'end';
  /** Given when the column can be sorted; undefined direction means by another column. */
  sort?: { direction: 'ascending' | 'descending' | undefined; onSort: () => void };
  className?: string;
}

const head = 'sticky top-0 z-10 h-8 border-b border-line bg-raised font-medium text-muted whitespace-nowrap';

export function HeadCell({ children, align = 'start', sort, className }: HeadCellProps) {
  const end = align === 'end';
  if (!sort) {
    return (
      <th scope="col" className={cx(head, 'px-3', end ? 'text-right' : 'text-left', className)}>
        {children}
      </th>
    );
  }
  const Arrow = sort.direction === 'descending' ? ArrowDown : ArrowUp;
  return (
    <th scope="col" aria-sort={sort.direction ?? 'none'} className={cx(head, className)}>
      <button
        type="button"
        onClick={sort.onSort}
        className={cx(
          'flex h-8 w-full items-center gap-1 px-3 font-medium hover:bg-hover hover:text-text focus-visible:-outline-offset-2',
          end && 'flex-row-reverse',
        )}
      >
        {children}
        <Arrow size={12} strokeWidth={2} aria-hidden="true" className={sort.direction ? '' : 'invisible'} />
      </button>
    </th>
  );
}

export function Row({ selected, className, ...rest }: ComponentProps<'tr'> & { selected?: boolean }) {
  return (
    <tr
      aria-selected={selected}
      className={cx(
        'group/row',
        selected ? 'bg-accent-soft' : 'hover:bg-hover',
        'focus-visible:-outline-offset-2',
        className,
      )}
      {...rest}
    />
  );
}

export function Cell({
  align = 'start',
  className,
  ...rest
}: Omit<ComponentProps<'td'>, 'align'> & { align?: 'start' | 'end' }) {
  return (
    <td
      className={cx(
        'h-7 border-b border-line/60 px-3 whitespace-nowrap',
        align === 'end' && 'text-right tabular',
        className,
      )}
      {...rest}
    />
  );
}
