import { useRef } from 'react';
import type { Rnd, RndDragCallback, RndResizeCallback, RndResizeStartCallback } from 'react-rnd';
import { zoneAt, zoneRect } from '../core/snap';
import type { Point, SnapTarget } from '../core/types';
import { workArea } from '../core/viewport';
import { useDrag } from '../store/drag';
import { useWindows } from '../store/windows';

/** A click on a title bar is no drag yet. */
const THRESHOLD = 4;

type Handlers = Pick<
  Rnd['props'],
  'onDragStart' | 'onDrag' | 'onDragStop' | 'onResizeStart' | 'onResizeStop'
>;

/** A drag lives in the frame until it ends: the store hears where the window was put down, and nothing before,
 *  but for a snapped window, which gets its own size back once as it comes loose. */
export function useFrameInteraction(id: string): Handlers {
  const drag = useRef<{ from: Point; moving: boolean; target: SnapTarget | null } | null>(null);

  const onDragStart: RndDragCallback = (event) => {
    drag.current = { from: pointerOf(event), moving: false, target: null };
  };

  const onDrag: RndDragCallback = (event) => {
    const now = drag.current;
    const store = useWindows.getState();
    const window = store.windows[id];
    if (!now || !window) return;
    const pointer = pointerOf(event);
    if (!now.moving) {
      if (Math.hypot(pointer.x - now.from.x, pointer.y - now.from.y) < THRESHOLD) return;
      now.moving = true;
      useDrag.getState().begin(id);
      if (window.state !== 'normal') store.detach(id, pointer);
    }
    const area = workArea(store.page);
    now.target = zoneAt(pointer, area);
    useDrag.getState().show(now.target ? zoneRect(now.target, area) : null);
  };

  const onDragStop: RndDragCallback = (_event, data) => {
    const now = drag.current;
    drag.current = null;
    if (!now?.moving) return;
    useDrag.getState().end();
    const store = useWindows.getState();
    if (now.target) store.snap(id, now.target);
    else store.drop(id, { x: data.x, y: data.y });
  };

  const onResizeStart: RndResizeStartCallback = () => {
    useWindows.getState().focus(id);
    useDrag.getState().begin(id);
  };

  const onResizeStop: RndResizeCallback = (_event, _direction, element, _delta, position) => {
    useDrag.getState().end();
    const { offsetWidth: width, offsetHeight: height } = element;
    useWindows.getState().resize(id, { ...position, width, height });
  };

  return { onDragStart, onDrag, onDragStop, onResizeStart, onResizeStop };
}

type DragEvent = MouseEvent | TouchEvent | React.MouseEvent | React.TouchEvent;

function pointerOf(event: DragEvent): Point {
  const at = 'touches' in event ? (event.touches[0] ?? event.changedTouches[0]) : event;
  return { x: at?.clientX ?? 0, y: at?.clientY ?? 0 };
}
