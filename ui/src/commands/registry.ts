import type { LucideIcon } from 'lucide-react';
import { useMemo } from 'react';
import { create } from 'zustand';
import { parseChord } from '@/input/chord';

export type CommandGroup = 'Windows' | 'Snapping' | 'Desktop' | 'Workspaces' | 'Look' | 'Sessions' | 'System';

/** Said once; the launcher, the shortcuts sheet, the menus and the tips all read it from here. */
export interface Command {
  id: string;
  /** Begins with a verb: "Close the window". */
  label: string;
  group: CommandGroup;
  /** The main chord first, then those for when the browser or the system keeps that one. */
  keys?: readonly string[];
  icon?: LucideIcon;
  /** More words to find it by. */
  words?: string;
  /** Said beside the keys in the shortcuts sheet. */
  note?: string;
  /** Not offered by the launcher: it only makes sense as keys. */
  keysOnly?: boolean;
  run: () => void;
  when?: () => boolean;
}

interface CommandStore {
  commands: ReadonlyMap<string, Command>;
  register: (commands: readonly Command[]) => () => void;
}

export const useCommands = create<CommandStore>()((set, get) => ({
  commands: new Map(),
  register: (added) => {
    const commands = new Map(get().commands);
    for (const command of added) {
      for (const chord of command.keys ?? []) parseChord(chord);
      commands.set(command.id, command);
    }
    set({ commands });
    return () => {
      const left = new Map(get().commands);
      for (const command of added) if (left.get(command.id) === command) left.delete(command.id);
      set({ commands: left });
    };
  },
}));

export const registerCommands = (commands: readonly Command[]) => useCommands.getState().register(commands);

export function runCommand(id: string): boolean {
  const command = useCommands.getState().commands.get(id);
  if (!command || (command.when && !command.when())) return false;
  command.run();
  return true;
}

export function useCommandList(): readonly Command[] {
  const commands = useCommands((state) => state.commands);
  return useMemo(() => [...commands.values()], [commands]);
}

const none: readonly string[] = [];

export function useCommandKeys(id: string): readonly string[] {
  return useCommands((state) => state.commands.get(id)?.keys ?? none);
}
