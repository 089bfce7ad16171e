import type { LucideIcon } from 'lucide-react';
import type { ComponentProps } from 'react';
import { cx } from './cx';
import { Tooltip, type TooltipProps } from './Tooltip';

export interface IconButtonProps extends Omit<ComponentProps<'button'>, 'children' | 'aria-label'> {
  /** Its name: read aloud, and shown as the tip. */
  label: string;
  icon: LucideIcon;
  keys?: readonly string[];
  tipSide?: TooltipProps['side'];
  /** 32 is the smallest that a pointer hits well. */
  size?: 28 | 32 | 36 | 40;
  iconSize?: 14 | 16 | 20;
  tone?: 'plain' | 'danger';
}

export function IconButton({
  label,
  icon: Icon,
  keys,
  tipSide,
  size = 32,
  iconSize = 16,
  tone = 'plain',
  className,
  style,
  ...rest
}: IconButtonProps) {
  return (
    <Tooltip label={label} {...(keys ? { keys } : {})} {...(tipSide ? { side: tipSide } : {})}>
      <button
        type="button"
        aria-label={label}
        aria-keyshortcuts={keys?.join(' ').replaceAll('Ctrl', 'Control')}
        className={cx(
          'inline-flex shrink-0 items-center justify-center rounded-md text-muted transition-colors duration-100',
          'enabled:hover:bg-hover enabled:hover:text-text enabled:active:bg-active disabled:opacity-45',
          'aria-pressed:bg-accent-soft aria-pressed:text-accent-text aria-expanded:bg-active aria-expanded:text-text',
          tone === 'danger' && 'enabled:hover:bg-danger-soft enabled:hover:text-danger',
          className,
        )}
        style={{ width: size, height: size, ...style }}
        {...rest}
      >
        <Icon size={iconSize} strokeWidth={1.75} aria-hidden="true" />
      </button>
    </Tooltip>
  );
}
