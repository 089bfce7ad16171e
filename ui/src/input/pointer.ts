import { type PointerEvent, useEffect, useRef } from 'react';
import {
  distance,
  isDoubleTap,
  isTap,
  LONG_PRESS_MS,
  type Sample,
  type SwipeDirection,
  swipeOf,
  TAP_DISTANCE,
} from './gestures';

/** Handlers to spread onto an element. */
export interface PointerHandlers<E extends Element = HTMLElement> {
  onPointerDown: (event: PointerEvent<E>) => void;
  onPointerMove?: (event: PointerEvent<E>) => void;
  onPointerUp: (event: PointerEvent<E>) => void;
  onPointerCancel: (event: PointerEvent<E>) => void;
}

export interface DragStep {
  start: Sample;
  now: Sample;
  dx: number;
  dy: number;
}

export interface PointerDragOptions {
  onStart?: (step: DragStep) => void;
  onMove: (step: DragStep) => void;
  /** `cancelled` when the system took the pointer away. */
  onEnd?: (step: DragStep, cancelled: boolean) => void;
  /** How far the pointer goes before it counts as a drag. */
  threshold?: number;
}

const sample = (event: PointerEvent<Element>): Sample => ({
  x: event.clientX,
  y: event.clientY,
  at: event.timeStamp,
});

const step = (start: Sample, now: Sample): DragStep => ({
  start,
  now,
  dx: now.x - start.x,
  dy: now.y - start.y,
});

/** Mouse, finger and pen alike. Set `touch-action` on the element for fingers. */
export function usePointerDrag(options: PointerDragOptions): PointerHandlers {
  const drag = useRef<{ pointer: number; start: Sample; moving: boolean } | null>(null);
  const { onStart, onMove, onEnd, threshold = 3 } = options;
  const end = (event: PointerEvent<HTMLElement>, cancelled: boolean) => {
    const now = drag.current;
    if (!now || now.pointer !== event.pointerId) return;
    drag.current = null;
    if (now.moving) onEnd?.(step(now.start, sample(event)), cancelled);
  };
  return {
    onPointerDown: (event) => {
      if (event.button !== 0 || drag.current) return;
      drag.current = { pointer: event.pointerId, start: sample(event), moving: threshold === 0 };
      event.currentTarget.setPointerCapture?.(event.pointerId);
      if (threshold === 0) onStart?.(step(drag.current.start, drag.current.start));
    },
    onPointerMove: (event) => {
      const now = drag.current;
      if (!now || now.pointer !== event.pointerId) return;
      const at = sample(event);
      if (!now.moving) {
        if (distance(now.start, at) < threshold) return;
        now.moving = true;
        onStart?.(step(now.start, at));
      }
      onMove(step(now.start, at));
    },
    onPointerUp: (event) => end(event, false),
    onPointerCancel: (event) => end(event, true),
  };
}

/** For fingers and pens; a mouse has its own double click. */
export function useDoubleTap(run: (at: Sample) => void): PointerHandlers {
  const down = useRef<Sample | null>(null);
  const last = useRef<Sample | null>(null);
  return {
    onPointerDown: (event) => {
      down.current = event.pointerType === 'mouse' ? null : sample(event);
    },
    onPointerUp: (event) => {
      const start = down.current;
      down.current = null;
      const now = sample(event);
      if (!start || !isTap(start, now)) {
        last.current = null;
        return;
      }
      const twice = isDoubleTap(last.current, now);
      last.current = twice ? null : now;
      if (twice) run(now);
    },
    onPointerCancel: () => {
      down.current = null;
      last.current = null;
    },
  };
}

export function useSwipe(run: (direction: SwipeDirection) => void): PointerHandlers {
  const start = useRef<Sample | null>(null);
  return {
    onPointerDown: (event) => {
      start.current = event.pointerType === 'mouse' ? null : sample(event);
    },
    onPointerUp: (event) => {
      const direction = start.current ? swipeOf(start.current, sample(event)) : null;
      start.current = null;
      if (direction) run(direction);
    },
    onPointerCancel: () => {
      start.current = null;
    },
  };
}

/** A finger that stays where it is: what the right button is for a mouse. */
export function useLongPress(run: (at: Sample) => void, ms: number = LONG_PRESS_MS): PointerHandlers {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const start = useRef<Sample | null>(null);
  const stop = () => {
    clearTimeout(timer.current);
    start.current = null;
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  return {
    onPointerDown: (event) => {
      if (event.pointerType === 'mouse') return;
      const at = sample(event);
      start.current = at;
      clearTimeout(timer.current);
      timer.current = setTimeout(() => run(at), ms);
    },
    onPointerMove: (event) => {
      if (start.current && distance(start.current, sample(event)) > TAP_DISTANCE) stop();
    },
    onPointerUp: stop,
    onPointerCancel: stop,
  };
}
