import { Layers } from 'lucide-react';
import { Popover } from 'radix-ui';
import { useState } from 'react';
import { IconButton } from '@/components';
import { SessionsMenu } from '@/sync/sessions';

/** Saved desktops, behind a button of the taskbar. */
export function Sessions() {
  const [open, setOpen] = useState(false);
  return (
    <Popover.Root open={open} onOpenChange={setOpen}>
      <Popover.Trigger asChild>
        <IconButton label="Sessions" icon={Layers} tipSide="top" />
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content
          side="top"
          align="end"
          sideOffset={8}
          collisionPadding={8}
          aria-label="Sessions"
          className="z-70 max-h-[70vh] w-[min(360px,calc(100vw-16px))] overflow-y-auto rounded-lg bg-(--overlay) p-4 shadow-focus outline-none"
        >
          {open ? <SessionsMenu /> : null}
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}
