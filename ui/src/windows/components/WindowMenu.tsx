import { PanelLeft, PanelRight } from 'lucide-react';
import type { ReactElement } from 'react';
import { runCommand, useCommands } from '@/commands/registry';
import { ContextMenu, MenuItem, MenuSeparator } from '@/components';
import { useWindows } from '../store/windows';

interface WindowMenuProps {
  id: string;
  title: string;
  children: ReactElement;
}

/** Comes up at the title bar, by the right button or by a finger that stays; the window has the focus by then. */
export function WindowMenu({ id, title, children }: WindowMenuProps) {
  const { snap } = useWindows.getState();
  return (
    <ContextMenu trigger={children} label={`What to do with ${title}`}>
      <CommandItem id="window.maximize" />
      <CommandItem id="window.minimize" />
      <CommandItem id="window.fullscreen" />
      <MenuSeparator />
      {/* The chords go one step from where a window is; here one says where it shall be. */}
      <MenuItem icon={PanelLeft} onSelect={() => snap(id, 'left')}>
        Snap to the left half
      </MenuItem>
      <MenuItem icon={PanelRight} onSelect={() => snap(id, 'right')}>
        Snap to the right half
      </MenuItem>
      <MenuSeparator />
      <CommandItem id="workspace.send-1" />
      <CommandItem id="workspace.send-2" />
      <CommandItem id="workspace.send-3" />
      <CommandItem id="workspace.send-4" />
      <MenuSeparator />
      <CommandItem id="window.close" tone="danger" />
    </ContextMenu>
  );
}

/** The words, the icon and the keys are the command’s own. */
function CommandItem({ id, tone = 'plain' }: { id: string; tone?: 'plain' | 'danger' }) {
  const command = useCommands((state) => state.commands.get(id));
  if (command === undefined) return null;
  const { label, icon, keys } = command;
  return (
    <MenuItem
      tone={tone}
      onSelect={() => runCommand(id)}
      {...(icon ? { icon } : {})}
      {...(keys ? { keys } : {})}
    >
      {label}
    </MenuItem>
  );
}
