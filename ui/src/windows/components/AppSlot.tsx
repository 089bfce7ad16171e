import { memo, type ReactNode } from 'react';
import type { WindowModel } from '../core/types';

interface AppSlotProps {
  window: WindowModel;
  render: (window: WindowModel) => ReactNode;
}

/** What an app draws does not depend on where its window stands; it measures itself if it must. */
export const AppSlot = memo(
  function AppSlot({ window, render }: AppSlotProps) {
    return render(window);
  },
  (before, after) => {
    const a = before.window;
    const b = after.window;
    return (
      before.render === after.render &&
      a.id === b.id &&
      a.appId === b.appId &&
      a.manifestId === b.manifestId &&
      a.pid === b.pid &&
      a.title === b.title &&
      a.state === b.state &&
      a.dirty === b.dirty
    );
  },
);
