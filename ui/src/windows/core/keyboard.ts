import type { Direction, SnapTarget, SnapZone, WindowModel } from './types';

export type KeyboardMove = { snap: SnapTarget } | 'restore' | 'minimize' | null;

type Moves = Record<Direction, KeyboardMove>;

const to = (snap: SnapTarget): KeyboardMove => ({ snap });

/** From a zone, an arrow goes to the neighbouring zone; against the arrow that made it, back to normal. */
const fromZone: Record<SnapZone, Moves> = {
  left: { left: null, right: 'restore', up: to('top_left'), down: to('bottom_left') },
  right: { left: 'restore', right: null, up: to('top_right'), down: to('bottom_right') },
  top_left: { left: null, right: to('top_right'), up: to('maximize'), down: to('left') },
  top_right: { left: to('top_left'), right: null, up: to('maximize'), down: to('right') },
  bottom_left: { left: null, right: to('bottom_right'), up: to('left'), down: 'minimize' },
  bottom_right: { left: to('bottom_left'), right: null, up: to('right'), down: 'minimize' },
};

const fromNormal: Moves = { left: to('left'), right: to('right'), up: to('maximize'), down: 'minimize' };
const fromMaximized: Moves = { left: to('left'), right: to('right'), up: null, down: 'restore' };

/** What an arrow with the snapping chord does to a window. */
export function keyboardMove(
  window: Pick<WindowModel, 'state' | 'snap'>,
  direction: Direction,
): KeyboardMove {
  if (window.state === 'normal') return fromNormal[direction];
  if (window.state === 'maximized') return fromMaximized[direction];
  if (window.state === 'snapped' && window.snap) return fromZone[window.snap][direction];
  if (window.state === 'minimized' && direction === 'up') return 'restore';
  if (window.state === 'fullscreen' && direction === 'down') return 'restore';
  return null;
}
