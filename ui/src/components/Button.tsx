import type { LucideIcon } from 'lucide-react';
import { Slot } from 'radix-ui';
import type { ComponentProps } from 'react';
import { cx } from './cx';

export type ButtonVariant = 'primary' | 'plain' | 'ghost' | 'danger';
export type ButtonSize = 'md' | 'sm';

const base =
  'inline-flex shrink-0 items-center justify-center gap-2 rounded-md font-medium whitespace-nowrap select-none transition-colors duration-100 disabled:opacity-50 aria-disabled:opacity-50 coarse:min-h-11';
const variants: Record<ButtonVariant, string> = {
  primary: 'bg-accent text-on-accent enabled:hover:bg-accent-hover',
  plain: 'border border-line bg-overlay text-text enabled:hover:bg-raised enabled:active:bg-sunken',
  ghost: 'text-text enabled:hover:bg-hover enabled:active:bg-active',
  danger: 'bg-danger text-on-danger enabled:hover:bg-danger-hover disabled:bg-active disabled:text-text',
};
const sizes: Record<ButtonSize, string> = { md: 'h-8 px-3', sm: 'h-7 px-2.5 text-sm' };

export interface ButtonProps extends ComponentProps<'button'> {
  variant?: ButtonVariant;
  size?: ButtonSize;
  icon?: LucideIcon;
  /** Renders the only child with the look of a button, for a link. */
  asChild?: boolean;
}

export function Button({
  variant = 'plain',
  size = 'md',
  icon: Icon,
  asChild = false,
  className,
  children,
  ...rest
}: ButtonProps) {
  const classes = cx(base, variants[variant], sizes[size], className);
  if (asChild) {
    return (
      <Slot.Root className={classes} {...rest}>
        {children}
      </Slot.Root>
    );
  }
  return (
    <button type="button" className={classes} {...rest}>
      {Icon ? <Icon size={16} strokeWidth={1.75} aria-hidden="true" /> : null}
      {children}
    </button>
  );
}
