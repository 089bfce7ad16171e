import { type ReactNode, useRef } from 'react';
import { Button } from '@/components';
import type { Still } from './still';

export interface AnswerButtonProps {
  still: Still;
  /** An answer is on its way. */
  busy: boolean;
  describedBy: string;
  onAnswer: () => void;
  children: ReactNode;
}

/** A button that can't be pressed by accident: not before it has stood still under the pointer, nor by a key held down. */
export function AnswerButton({ still, busy, describedBy, onAnswer, children }: AnswerButtonProps) {
  /** Whether it stood still when the pointer went down; null if none did. */
  const meant = useRef<boolean | null>(null);
  const off = busy || !still.still;
  return (
    <Button
      // Not `disabled`, which would take the keyboard away from who stands on it.
      aria-disabled={off}
      aria-describedby={describedBy}
      className="flex-1"
      // A press of the pointer leaves the keyboard where somebody types.
      onMouseDown={(event) => event.preventDefault()}
      onPointerDown={() => {
        meant.current = still.check();
      }}
      onKeyDown={(event) => {
        meant.current = null;
        if (event.repeat && (event.key === 'Enter' || event.key === ' ')) event.preventDefault();
      }}
      onClick={() => {
        const pressed = meant.current;
        meant.current = null;
        if (!busy && pressed !== false && still.check()) onAnswer();
      }}
    >
      {children}
    </Button>
  );
}
