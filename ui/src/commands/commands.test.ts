import { beforeEach, describe, expect, it, vi } from 'vitest';
import { keyLabels } from '@/input/chord';
import { fakeWindow } from '@/windows/fake';
import { useWindows } from '@/windows/store/windows';
import { commandFor } from './listen';
import { type Command, registerCommands, runCommand, useCommands } from './registry';
import { windowCommands } from './windows';

const press = (key: string, over: Partial<KeyboardEvent> = {}) => ({
  key,
  code: '',
  ctrlKey: false,
  altKey: false,
  shiftKey: false,
  metaKey: false,
  ...over,
});

const close = vi.fn();
const all = () => windowCommands({ close, next: () => {}, previous: () => {} });

beforeEach(() => {
  useCommands.setState({ commands: new Map() });
  useWindows.setState({
    windows: {},
    order: [],
    focused: null,
    page: { width: 1280, height: 800 },
    workspace: 0,
  });
});

describe('the registry', () => {
  it('gives each chord to one command only', () => {
    const chords = all().flatMap((command) =>
      (command.keys ?? []).map((chord) => keyLabels(chord).join('+')),
    );
    expect(new Set(chords).size).toBe(chords.length);
  });

  it('takes commands back', () => {
    const stop = registerCommands(all());
    expect(useCommands.getState().commands.size).toBe(all().length);
    stop();
    expect(useCommands.getState().commands.size).toBe(0);
  });

  it('refuses a chord that names no key', () => {
    const wrong: Command = { id: 'x', label: 'X', group: 'Desktop', keys: ['Ctrl+'], run: () => {} };
    expect(() => registerCommands([wrong])).toThrow(/names no key/);
  });

  it('does not run what makes no sense now', () => {
    registerCommands(all());
    expect(runCommand('window.close')).toBe(false);
    useWindows.getState().open(fakeWindow('a'));
    expect(runCommand('window.close')).toBe(true);
    expect(close).toHaveBeenCalledWith('a');
  });
});

describe('chords', () => {
  it('snap along the arrows', () => {
    registerCommands(all());
    useWindows.getState().open(fakeWindow('a'));
    const states = ['left', 'up', 'right', 'down', 'left'].map((direction) => {
      runCommand(`window.snap-${direction}`);
      const window = useWindows.getState().windows.a;
      return window?.snap ?? window?.state;
    });
    expect(states).toEqual(['left', 'top_left', 'top_right', 'right', 'normal']);
  });

  it('leave plain Ctrl and function keys to a terminal', () => {
    const commands: Command[] = [
      { id: 'a', label: 'A', group: 'Desktop', keys: ['Ctrl+Space', 'Ctrl+K', 'F1'], run: () => {} },
      { id: 'b', label: 'B', group: 'Desktop', keys: ['Alt+F4'], run: () => {} },
    ];
    expect(commandFor(press('k', { ctrlKey: true }), commands)?.id).toBe('a');
    expect(commandFor(press('k', { ctrlKey: true }), commands, true)).toBeUndefined();
    expect(commandFor(press('F1'), commands, true)).toBeUndefined();
    expect(commandFor(press(' ', { ctrlKey: true }), commands, true)?.id).toBe('a');
    expect(commandFor(press('F4', { altKey: true }), commands, true)?.id).toBe('b');
  });
});
