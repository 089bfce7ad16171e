import {
  ArrowDown,
  ArrowLeft,
  ArrowRight,
  ArrowUp,
  Expand,
  type LucideIcon,
  Maximize2,
  Minimize2,
  Minus,
  Monitor,
  X,
} from 'lucide-react';
import { type Direction, keyboardMove, WORKSPACES } from '@/windows/core';
import { focusedWindow } from '@/windows/store/selectors';
import { useWindows } from '@/windows/store/windows';
import type { Command } from './registry';

const store = () => useWindows.getState();
const focused = () => focusedWindow(store());
const hasFocused = () => focused() !== undefined;

function onFocused(run: (id: string) => void): () => void {
  return () => {
    const window = focused();
    if (window) run(window.id);
  };
}

function snap(direction: Direction): () => void {
  return onFocused((id) => {
    const window = store().windows[id];
    const move = window ? keyboardMove(window, direction) : null;
    if (move === 'restore') store().restore(id);
    else if (move === 'minimize') store().minimize(id);
    else if (move) store().snap(id, move.snap);
  });
}

const arrows: [Direction, string, LucideIcon, string][] = [
  ['left', 'ArrowLeft', ArrowLeft, 'Snap left, or come back from the right'],
  ['right', 'ArrowRight', ArrowRight, 'Snap right, or come back from the left'],
  ['up', 'ArrowUp', ArrowUp, 'Snap up: to a corner, or maximise'],
  ['down', 'ArrowDown', ArrowDown, 'Snap down: to a corner, restore, or minimise'],
];

export interface WindowCommandActions {
  /** Asks the app to close; the window goes when the server says so. */
  close: (windowId: string) => void;
  next: () => void;
  previous: () => void;
}

export function windowCommands(actions: WindowCommandActions): Command[] {
  return [
    {
      id: 'window.next',
      label: 'Switch to the next window',
      group: 'Windows',
      keys: ['Alt+Tab', 'Alt+`', 'Ctrl+`'],
      note: 'Hold, press again to go on, let go to choose, Esc to stay.',
      keysOnly: true,
      run: actions.next,
    },
    {
      id: 'window.previous',
      label: 'Switch to the previous window',
      group: 'Windows',
      keys: ['Alt+Shift+Tab', 'Alt+Shift+`', 'Ctrl+Shift+`'],
      keysOnly: true,
      run: actions.previous,
    },
    {
      id: 'window.close',
      label: 'Close the window',
      group: 'Windows',
      keys: ['Alt+F4', 'Ctrl+Alt+W'],
      icon: X,
      when: hasFocused,
      run: onFocused(actions.close),
    },
    {
      id: 'window.minimize',
      label: 'Minimise the window',
      group: 'Windows',
      keys: ['Ctrl+Alt+M', 'Alt+F9'],
      icon: Minus,
      when: hasFocused,
      run: onFocused((id) => store().minimize(id)),
    },
    {
      id: 'window.maximize',
      label: 'Maximise or restore the window',
      group: 'Windows',
      keys: ['Ctrl+Alt+Enter', 'Alt+F10'],
      icon: Maximize2,
      when: hasFocused,
      run: onFocused((id) => store().toggleMaximize(id)),
    },
    {
      id: 'window.fullscreen',
      label: 'Show the window on the full screen, or stop',
      group: 'Windows',
      keys: ['Ctrl+Alt+F', 'Alt+F11'],
      icon: Expand,
      when: hasFocused,
      run: onFocused((id) => store().toggleFullscreen(id)),
    },
    {
      id: 'window.minimize-all',
      label: 'Minimise all windows',
      group: 'Windows',
      words: 'show desktop',
      icon: Minimize2,
      when: () => store().order.length > 0,
      run: () => {
        const { windows, workspace, minimize } = store();
        for (const window of Object.values(windows)) if (window.workspace === workspace) minimize(window.id);
      },
    },
    ...arrows.map(
      ([direction, key, icon, label]): Command => ({
        id: `window.snap-${direction}`,
        label,
        group: 'Snapping',
        keys: [`Ctrl+Alt+${key}`, `Meta+${key}`],
        icon,
        when: hasFocused,
        run: snap(direction),
      }),
    ),
    ...Array.from({ length: WORKSPACES }, (_, at): Command[] => [
      {
        id: `workspace.${at + 1}`,
        label: `Go to workspace ${at + 1}`,
        group: 'Workspaces',
        keys: [`Ctrl+Alt+${at + 1}`],
        icon: Monitor,
        run: () => store().setWorkspace(at),
      },
      {
        id: `workspace.send-${at + 1}`,
        label: `Send the window to workspace ${at + 1}`,
        group: 'Workspaces',
        keys: [`Ctrl+Alt+Shift+${at + 1}`],
        icon: Monitor,
        when: hasFocused,
        run: onFocused((id) => store().sendToWorkspace(id, at)),
      },
    ]).flat(),
  ];
}
