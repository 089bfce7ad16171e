import type { ReactElement } from 'react';
import { type Command, runCommand, useCommands } from '@/commands/registry';
import { ContextMenu, MenuItem, MenuSeparator } from '@/components';

/** What can be done with a window, in groups; their words and keys are the commands' own. */
const GROUPS = [
  ['window.maximize', 'window.minimize', 'window.fullscreen'],
  ['window.snap-left', 'window.snap-right'],
  ['workspace.send-1', 'workspace.send-2', 'workspace.send-3', 'workspace.send-4'],
  ['window.close'],
] as const;

/** Comes up at the title bar, by the right button or by a finger that stays; the window has the focus by then. */
export function WindowMenu({ title, children }: { title: string; children: ReactElement }) {
  return (
    <ContextMenu trigger={children} label={`What to do with ${title}`}>
      <Items />
    </ContextMenu>
  );
}

function Items() {
  const commands = useCommands((state) => state.commands);
  const groups = GROUPS.map((ids) => ids.flatMap((id): Command[] => [commands.get(id) ?? []].flat()));
  return groups
    .filter((group) => group.length > 0)
    .map((group, at) => (
      <div key={group[0]?.id}>
        {at > 0 ? <MenuSeparator /> : null}
        {group.map(({ id, label, icon, keys }) => (
          <MenuItem
            key={id}
            onSelect={() => runCommand(id)}
            {...(icon ? { icon } : {})}
            {...(keys ? { keys } : {})}
            {...(id === 'window.close' ? { tone: 'danger' as const } : {})}
          >
            {label}
          </MenuItem>
        ))}
      </div>
    ));
}
