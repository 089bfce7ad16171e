import type { LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';
import { IconButton, Popover } from '@/components';
import { useShell } from './state';

export interface TrayProps {
  /** Only one of them is open at a time. */
  name: string;
  label: string;
  icon: LucideIcon;
  /** A dot that says there is something new. */
  marked?: boolean;
  children: ReactNode;
}

/** A button at the right of the taskbar, and what comes up over it. */
export function Tray({ name, label, icon, marked, children }: TrayProps) {
  const open = useShell((state) => state.tray === name);
  const setTray = useShell((state) => state.setTray);
  return (
    <span className="relative inline-flex">
      <Popover
        open={open}
        onOpenChange={(shown) => setTray(shown ? name : null)}
        label={label}
        side="top"
        offset={14}
        trigger={<IconButton label={label} icon={icon} tipSide="top" className="coarse:size-11!" />}
      >
        {children}
      </Popover>
      {marked ? (
        <span
          aria-hidden="true"
          className="pointer-events-none absolute top-1 right-1 size-2 rounded-full bg-accent-text ring-2 ring-raised"
        />
      ) : null}
    </span>
  );
}
