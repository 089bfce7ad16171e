import { Check, type LucideIcon } from 'lucide-react';
import { DropdownMenu as Radix } from 'radix-ui';
import type { ReactElement, ReactNode } from 'react';
import { cx } from './cx';
import { Keys } from './Kbd';

export interface MenuProps {
  trigger: ReactElement;
  children: ReactNode;
  align?: 'start' | 'center' | 'end';
  side?: 'top' | 'right' | 'bottom' | 'left';
  label?: string;
  open?: boolean;
  onOpenChange?: (open: boolean) => void;
}

export const menuSurface =
  'z-[9300] min-w-44 max-w-80 overflow-auto rounded-md bg-overlay p-1 text-text shadow-menu animate-in max-h-[var(--radix-popper-available-height)]';

export function Menu({ trigger, children, align = 'start', side = 'bottom', label, ...control }: MenuProps) {
  return (
    <Radix.Root {...control} modal={false}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          align={align}
          side={side}
          sideOffset={6}
          collisionPadding={8}
          aria-label={label}
          className={menuSurface}
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

export interface MenuItemProps {
  children: ReactNode;
  onSelect: () => void;
  icon?: LucideIcon;
  keys?: readonly string[];
  checked?: boolean;
  tone?: 'plain' | 'danger';
  disabled?: boolean;
}

export function MenuItem({ children, onSelect, icon: Icon, keys, checked, tone, disabled }: MenuItemProps) {
  return (
    <Radix.Item
      onSelect={onSelect}
      disabled={disabled ?? false}
      className={cx(
        'flex min-h-8 items-center gap-2.5 rounded-sm px-2 outline-none select-none coarse:min-h-11',
        'data-[disabled]:opacity-45 data-[highlighted]:bg-hover',
        tone === 'danger' && 'text-danger data-[highlighted]:bg-danger-soft',
      )}
    >
      {Icon ? (
        <Icon size={16} strokeWidth={1.75} aria-hidden="true" className={tone ? '' : 'text-muted'} />
      ) : null}
      <span className="min-w-0 flex-1 truncate">{children}</span>
      {checked ? (
        <Check size={16} strokeWidth={1.75} aria-label="chosen" className="text-accent-text" />
      ) : null}
      {keys?.length ? <Keys chord={keys[0] as string} /> : null}
    </Radix.Item>
  );
}

export function MenuLabel({ children }: { children: ReactNode }) {
  return <Radix.Label className="px-2 pt-2 pb-1 text-xs font-medium text-faint">{children}</Radix.Label>;
}

export function MenuSeparator() {
  return <Radix.Separator className="-mx-1 my-1 h-px bg-line" />;
}
