import { X } from 'lucide-react';
import { Dialog as Radix } from 'radix-ui';
import type { ReactNode } from 'react';
import { cx } from './cx';
import { useFocusReturn } from './floating';
import { IconButton } from './IconButton';

export interface DialogProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: string;
  description?: ReactNode;
  /** Buttons, the main one last. */
  footer?: ReactNode;
  width?: number;
  children?: ReactNode;
  className?: string;
  'data-testid'?: string;
}

/** Modal to the whole desktop; focus is trapped and goes back where it was. */
export function Dialog(props: DialogProps) {
  const { open, onOpenChange, title, description, footer, width = 440, children, className } = props;
  const { remember, onCloseAutoFocus } = useFocusReturn();
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-[9100] animate-fade bg-scrim data-[state=closed]:animate-fade-out" />
        <div className="pointer-events-none fixed inset-0 z-[9101] grid place-items-center p-4">
          <Radix.Content
            data-testid={props['data-testid']}
            {...(description ? {} : { 'aria-describedby': undefined })}
            onCloseAutoFocus={onCloseAutoFocus}
            onOpenAutoFocus={(event) => {
              // Not the close button, which would come with its tip; the first field, or the dialog itself.
              event.preventDefault();
              remember();
              const content = event.currentTarget as HTMLElement;
              (
                content.querySelector<HTMLElement>('[data-autofocus], input, textarea, select') ?? content
              ).focus();
            }}
            style={{ width }}
            className={cx(
              'pointer-events-auto flex max-h-full max-w-full animate-in flex-col data-[state=closed]:animate-out rounded-lg bg-overlay text-text shadow-menu',
              className,
            )}
          >
            <div className="flex items-start gap-2 pt-3 pr-3 pl-5">
              <Radix.Title className="min-w-0 flex-1 pt-1.5 text-lg font-semibold">{title}</Radix.Title>
              <Radix.Close asChild>
                <IconButton label="Close" keys={['Escape']} icon={X} />
              </Radix.Close>
            </div>
            <div className="min-h-0 flex-1 overflow-auto px-5 pb-5">
              {description ? (
                <Radix.Description className="mt-1 mb-3 text-muted">{description}</Radix.Description>
              ) : null}
              {children}
            </div>
            {footer ? (
              <div className="flex flex-wrap justify-end gap-2 border-t border-line px-5 py-3">{footer}</div>
            ) : null}
          </Radix.Content>
        </div>
      </Radix.Portal>
    </Radix.Root>
  );
}
