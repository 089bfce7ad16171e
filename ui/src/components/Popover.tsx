import { Popover as Radix } from 'radix-ui';
import type { ComponentProps, ReactElement, ReactNode } from 'react';
import { cx } from './cx';
import { keepFocus } from './floating';

export interface PopoverProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  /** Opens it when pressed; an anchor is only what it stands beside. */
  trigger?: ReactElement;
  anchor?: ReactElement;
  label: string;
  side?: 'top' | 'bottom';
  align?: 'start' | 'center' | 'end';
  offset?: number;
  width?: number;
  /** It came up by itself: the keyboard stays where it is. */
  quiet?: boolean;
  /** Nothing in it takes the focus, so it takes it itself, to be scrolled by keys. */
  text?: boolean;
  children: ReactNode;
  className?: string;
  hover?: Pick<ComponentProps<'div'>, 'onPointerEnter' | 'onPointerLeave'>;
}

/** Stands over the page until one looks elsewhere; unlike a dialog it stops nothing. */
export function Popover(props: PopoverProps) {
  const { open, onOpenChange, trigger, anchor, label, side = 'bottom', align = 'end', offset = 8 } = props;
  const { width = 360, quiet = false, text = false, children, className, hover } = props;
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      {trigger ? <Radix.Trigger asChild>{trigger}</Radix.Trigger> : null}
      {anchor ? <Radix.Anchor asChild>{anchor}</Radix.Anchor> : null}
      <Radix.Portal>
        <Radix.Content
          side={side}
          align={align}
          sideOffset={offset}
          // Not over the taskbar, unless it comes from there.
          collisionPadding={side === 'top' ? 8 : { top: 8, left: 8, right: 8, bottom: 56 }}
          aria-label={label}
          onOpenAutoFocus={(event) => quiet && event.preventDefault()}
          onCloseAutoFocus={(event) => keepFocus(event)}
          {...(text ? { tabIndex: 0 } : {})}
          style={{ width: `min(${width}px, calc(100vw - 16px))` }}
          className={cx(
            'z-70 max-h-[min(70vh,var(--radix-popper-available-height))] animate-in overflow-y-auto bg-overlay text-text shadow-menu outline-none data-[state=closed]:animate-out',
            className ?? 'rounded-lg p-4',
          )}
          {...hover}
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
