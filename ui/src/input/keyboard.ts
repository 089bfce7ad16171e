import { useEffect, useEffectEvent } from 'react';
import { matchesChord, parseChord } from './chord';

/** Inside an element with data-keys="raw", such as a terminal, plain Ctrl chords and function keys belong to it. */
export function wantsRawKeys(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('[data-keys="raw"]') !== null;
}

export function isEditable(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName);
}

export interface ChordOptions {
  enabled?: boolean;
  /** Where it listens; the whole page if not given. */
  target?: Window | HTMLElement | null;
  /** Whether it also runs while someone types in a field. */
  whileTyping?: boolean;
}

/** Runs a handler on a chord while the component is mounted. The desktop's own chords are commands instead. */
export function useChord(
  chord: string | readonly string[],
  run: (event: KeyboardEvent) => void,
  { enabled = true, target, whileTyping = true }: ChordOptions = {},
): void {
  const text = typeof chord === 'string' ? chord : chord.join(' ');
  const onChord = useEffectEvent(run);
  useEffect(() => {
    if (!enabled) return;
    const chords = text.split(' ').map((one) => parseChord(one));
    const listener = (event: Event) => {
      const key = event as KeyboardEvent;
      if (key.isComposing || (!whileTyping && isEditable(key.target))) return;
      if (!chords.some((one) => matchesChord(key, one))) return;
      key.preventDefault();
      onChord(key);
    };
    const source = target ?? window;
    source.addEventListener('keydown', listener);
    return () => source.removeEventListener('keydown', listener);
  }, [text, enabled, target, whileTyping]);
}
