import type { WindowModel } from './types';

type Ordered = Pick<WindowModel, 'id' | 'z' | 'state' | 'workspace'>;

/** The front one first. Focusing raises, so this is also the most recent one first. */
export function frontToBack<W extends Ordered>(windows: readonly W[]): W[] {
  return [...windows].sort((a, b) => b.z - a.z || (a.id < b.id ? -1 : 1));
}

export function highestZ(windows: readonly Ordered[]): number {
  return windows.reduce((highest, window) => Math.max(highest, window.z), 0);
}

/** Which window gets the focus when the focused one goes away. */
export function frontmost<W extends Ordered>(windows: readonly W[], workspace: number): W | null {
  return (
    frontToBack(windows).find((window) => window.workspace === workspace && window.state !== 'minimized') ??
    null
  );
}
