import type { WindowModel } from '../core/types';

export type SettledWhy =
  | 'move'
  | 'resize'
  | 'snap'
  | 'focus'
  | 'minimize'
  | 'restore'
  | 'maximize'
  | 'fullscreen'
  | 'workspace';

type Listener = (window: WindowModel, why: SettledWhy) => void;

const listeners = new Set<Listener>();

/** Hears of every change that this person made and finished: never the steps of a drag, never what came from
 *  the server, never what a changed page did. Returns how to stop. */
export function onSettled(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function emitSettled(window: WindowModel, why: SettledWhy): void {
  for (const listener of listeners) listener(window, why);
}
