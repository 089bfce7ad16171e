import { lazy, Suspense } from 'react';
import { SkeletonRows } from '@/components';

const SessionsPanel = lazy(() => import('./SessionsPanel'));

/** Saved desktops: to save this one, to bring one back, to delete one. Stands in a popover or a dialog of the shell. */
export function SessionsMenu({ onDone }: { onDone?: () => void }) {
  return (
    <Suspense fallback={<SkeletonRows rows={3} />}>
      <SessionsPanel onDone={() => onDone?.()} />
    </Suspense>
  );
}
