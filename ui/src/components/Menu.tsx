import { Check, type LucideIcon } from 'lucide-react';
import { ContextMenu as Context, DropdownMenu as Radix } from 'radix-ui';
import { createContext, type ReactElement, type ReactNode, useContext } from 'react';
import { cx } from './cx';
import { floating, keepFocus } from './floating';
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
  'z-[9300] min-w-44 max-w-[min(440px,calc(100vw-16px))] overflow-auto rounded-md bg-overlay p-1 text-text shadow-menu animate-in data-[state=closed]:animate-out max-h-[var(--radix-popper-available-height)]';

export function Menu({ trigger, children, align = 'start', side = 'bottom', label, ...control }: MenuProps) {
  return (
    <Radix.Root {...control} modal={false}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal container={floating()}>
        <Radix.Content
          align={align}
          side={side}
          sideOffset={6}
          collisionPadding={8}
          aria-label={label}
          onCloseAutoFocus={(event) => keepFocus(event)}
          className={menuSurface}
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

/** Whether the items stand in a menu of the right button: the two kinds have parts of their own. */
const InContext = createContext(false);

export interface ContextMenuProps {
  /** Where the right button, or a finger that stays, brings it up. */
  trigger: ReactElement;
  label: string;
  children: ReactNode;
}

export function ContextMenu({ trigger, label, children }: ContextMenuProps) {
  return (
    <Context.Root modal={false}>
      <Context.Trigger asChild>{trigger}</Context.Trigger>
      <Context.Portal container={floating()}>
        <Context.Content
          collisionPadding={8}
          aria-label={label}
          onCloseAutoFocus={(event) => keepFocus(event)}
          className={menuSurface}
        >
          <InContext value={true}>{children}</InContext>
        </Context.Content>
      </Context.Portal>
    </Context.Root>
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
  const Item = useContext(InContext) ? Context.Item : Radix.Item;
  return (
    <Item
      onSelect={onSelect}
      disabled={disabled ?? false}
      className={cx(
        'flex min-h-8 items-center gap-2.5 rounded-sm px-2 outline-none select-none coarse:min-h-11',
        'data-[disabled]:opacity-45 data-[highlighted]:bg-hover',
        tone === 'danger' && 'text-danger data-[highlighted]:bg-danger-soft',
      )}
    >
      {Icon ? (
        <Icon
          size={16}
          strokeWidth={1.75}
          aria-hidden="true"
          className={tone === 'danger' ? '' : 'text-muted'}
        />
      ) : null}
      <span className="min-w-0 flex-1 truncate">{children}</span>
      {checked ? (
        <Check size={16} strokeWidth={1.75} aria-label="chosen" className="text-accent-text" />
      ) : null}
      {keys?.length ? <Keys chord={keys[0] as string} /> : null}
    </Item>
  );
}

export function MenuLabel({ children }: { children: ReactNode }) {
  const Label = useContext(InContext) ? Context.Label : Radix.Label;
  return <Label className="px-2 pt-2 pb-1 text-xs font-medium text-faint">{children}</Label>;
}

export function MenuSeparator() {
  const Separator = useContext(InContext) ? Context.Separator : Radix.Separator;
  return <Separator className="-mx-1 my-1 h-px bg-line" />;
}
