import { Copy, Minus, Square, X } from 'lucide-react';
import { memo, type ReactNode } from 'react';
import { useCommandKeys } from '@/commands/registry';
import { AppIcon, cx, IconButton } from '@/components';
import { useDoubleTap } from '@/input/pointer';
import { processColor } from '@/theme/process';
import { useWindows } from '../store/windows';
import { WindowMenu } from './WindowMenu';

export interface TitleBarProps {
  id: string;
  title: string;
  icon: string;
  pid: number | null;
  dirty: boolean;
  focused: boolean;
  maximized: boolean;
  shield?: ReactNode;
  onClose: (id: string) => void;
}

export const DRAG_CLASS = 'window-drag';
const button = 'rounded-[5px] coarse:size-11!';

export const TitleBar = memo(function TitleBar(props: TitleBarProps) {
  const { id, title, icon, pid, dirty, focused, maximized, shield, onClose } = props;
  const { minimize, toggleMaximize } = useWindows.getState();
  const doubleTap = useDoubleTap(() => toggleMaximize(id));
  const minimizeKeys = useCommandKeys('window.minimize');
  const maximizeKeys = useCommandKeys('window.maximize');
  const closeKeys = useCommandKeys('window.close');
  return (
    <header
      className={cx(
        'relative flex h-9 shrink-0 items-center bg-raised pr-1 coarse:h-11',
        'before:absolute before:inset-x-0 before:top-0 before:h-0.5 before:bg-(--process) before:transition-opacity',
        focused ? 'before:opacity-100' : 'before:opacity-45',
      )}
      style={{ '--process': processColor(pid) } as React.CSSProperties}
    >
      <WindowMenu id={id} title={title}>
        {/* biome-ignore lint/a11y/noStaticElementInteractions: the keys for this are commands, and a button stands beside */}
        <div
          className={cx(
            DRAG_CLASS,
            'flex h-full min-w-0 flex-1 touch-none items-center gap-2 pr-2 pl-3 select-none',
          )}
          onDoubleClick={() => toggleMaximize(id)}
          {...doubleTap}
        >
          <AppIcon name={icon} className={focused ? 'text-text' : 'text-faint'} />
          <span
            className={cx(
              'min-w-0 truncate font-semibold transition-colors duration-100',
              focused ? 'text-text' : 'text-faint',
            )}
          >
            {title}
          </span>
          {dirty ? (
            <span
              role="img"
              aria-label="Not saved"
              className="size-1.5 shrink-0 rounded-full bg-accent-text"
            />
          ) : null}
        </div>
      </WindowMenu>
      {shield}
      <div className="flex items-center gap-px">
        <IconButton
          label="Minimise"
          icon={Minus}
          keys={minimizeKeys}
          iconSize={14}
          className={button}
          onClick={() => minimize(id)}
        />
        <IconButton
          label={maximized ? 'Restore' : 'Maximise'}
          icon={maximized ? Copy : Square}
          keys={maximizeKeys}
          iconSize={14}
          className={cx(button, maximized && '[&>svg]:-scale-x-100', '[&>svg]:scale-90')}
          onClick={() => toggleMaximize(id)}
        />
        <IconButton
          label="Close"
          icon={X}
          keys={closeKeys}
          tone="danger"
          className={button}
          onClick={() => onClose(id)}
        />
      </div>
    </header>
  );
});
