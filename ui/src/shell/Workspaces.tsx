import { useShallow } from 'zustand/shallow';
import { cx, Menu, MenuItem, Tooltip } from '@/components';
import { formatAmount } from '@/format';
import { WORKSPACES } from '@/windows/core';
import { useWindows } from '@/windows/store/windows';

const all = Array.from({ length: WORKSPACES }, (_, at) => at);

/** One button each; on a narrow page the current one, which opens a list. */
export function Workspaces() {
  const current = useWindows((state) => state.workspace);
  const counts = useWindows(
    useShallow((state) => {
      const windows = Object.values(state.windows);
      return all.map((at) => windows.filter((window) => window.workspace === at).length);
    }),
  );
  const go = (at: number) => useWindows.getState().setWorkspace(at);
  const nameOf = (at: number) => `Workspace ${at + 1}, ${formatAmount(counts[at] ?? 0, 'window')}`;
  return (
    <>
      <fieldset aria-label="Workspaces" className="hidden items-center gap-px md:flex">
        {all.map((at) => (
          <Tooltip key={at} label={nameOf(at)} keys={[`Ctrl+Alt+${at + 1}`]} side="top">
            <button
              type="button"
              aria-pressed={at === current}
              aria-label={nameOf(at)}
              onClick={() => go(at)}
              className={cx(look(at === current, (counts[at] ?? 0) > 0), 'w-7 coarse:w-11')}
            >
              {at + 1}
            </button>
          </Tooltip>
        ))}
      </fieldset>
      <div className="md:hidden">
        <Menu
          side="top"
          label="Workspaces"
          trigger={
            <button
              type="button"
              aria-label={`${nameOf(current)}. Choose another`}
              className={cx(look(true, (counts[current] ?? 0) > 0), 'w-8 coarse:w-11')}
            >
              {current + 1}
            </button>
          }
        >
          {all.map((at) => (
            <MenuItem key={at} checked={at === current} onSelect={() => go(at)}>
              {nameOf(at)}
            </MenuItem>
          ))}
        </Menu>
      </div>
    </>
  );
}

/** A dot under the number of one that holds windows. */
function look(current: boolean, used: boolean): string {
  return cx(
    'relative h-8 rounded-md text-sm tabular outline-offset-[-2px] coarse:h-11',
    current ? 'bg-active font-semibold text-text' : 'text-muted hover:bg-hover hover:text-text',
    used &&
      'after:absolute after:bottom-1 after:left-1/2 after:size-1 after:-translate-x-1/2 after:rounded-full after:bg-current',
  );
}
