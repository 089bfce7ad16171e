import { useEffect } from 'react';
import { type KeyLike, matchesChord, parseChord } from '@/input/chord';
import { wantsRawKeys } from '@/input/keyboard';
import { type Command, useCommands } from './registry';

const parsed = new Map<string, ReturnType<typeof parseChord>>();

function chordOf(text: string) {
  const known = parsed.get(text);
  if (known) return known;
  const chord = parseChord(text);
  parsed.set(text, chord);
  return chord;
}

/** The command that these keys mean now. */
export function commandFor(event: KeyLike, commands: Iterable<Command>, raw = false): Command | undefined {
  for (const command of commands) {
    for (const text of command.keys ?? []) {
      const chord = chordOf(text);
      // A terminal needs Ctrl+K and F1 itself; Alt, the system key and Ctrl+Space always stay with the desktop.
      if (raw && !chord.alt && !chord.meta && !(chord.ctrl && chord.key === ' ')) continue;
      if (matchesChord(event, chord) && (!command.when || command.when())) return command;
    }
  }
  return undefined;
}

/** Before anything on the page sees the keys; a chord that means no command goes on untouched. */
export function useCommandChords(): void {
  useEffect(() => {
    const listener = (event: KeyboardEvent) => {
      if (event.isComposing || event.defaultPrevented) return;
      const command = commandFor(event, useCommands.getState().commands.values(), wantsRawKeys(event.target));
      if (!command) return;
      event.preventDefault();
      event.stopPropagation();
      command.run();
    };
    window.addEventListener('keydown', listener, { capture: true });
    return () => window.removeEventListener('keydown', listener, { capture: true });
  }, []);
}
