import { useEffect, useId, useRef, useState } from 'react';
import { Input } from '@/components';
import { nameProblem } from './path';

interface NameFieldProps {
  label: string;
  name: string;
  say: (error: unknown) => string;
  onDone: (name: string) => Promise<void>;
  onCancel: () => void;
}

/** A name, written in its place. Enter takes it, Escape and leaving it unchanged don’t. */
export function NameField({ label, name, say, onDone, onCancel }: NameFieldProps) {
  const [text, setText] = useState(name);
  const [error, setError] = useState<string | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const busy = useRef(false);
  const note = useId();

  useEffect(() => {
    input.current?.focus();
    // The part before the ending is what people want to change.
    const dot = name.lastIndexOf('.');
    input.current?.setSelectionRange(0, dot > 0 ? dot : name.length);
  }, [name]);

  const done = (): void => {
    if (busy.current) return;
    const problem = nameProblem(text);
    if (problem !== null) {
      setError(problem);
      return;
    }
    busy.current = true;
    onDone(text)
      .catch((failure: unknown) => setError(say(failure)))
      .finally(() => {
        busy.current = false;
      });
  };
  return (
    <span className="flex flex-col py-0.5">
      <Input
        ref={input}
        aria-label={label}
        aria-invalid={error !== null}
        aria-describedby={error === null ? undefined : note}
        value={text}
        maxLength={255}
        spellCheck={false}
        onChange={(event) => {
          setText(event.target.value);
          setError(null);
        }}
        onKeyDown={(event) => {
          event.stopPropagation();
          if (event.key === 'Enter') done();
          if (event.key === 'Escape') onCancel();
        }}
        onBlur={() => {
          if (text === '' || text === name) onCancel();
          else if (error === null) done();
        }}
        onDoubleClick={(event) => event.stopPropagation()}
        className="h-7"
      />
      {error === null ? null : (
        <span id={note} role="alert" className="py-0.5 text-sm whitespace-normal text-danger">
          {error}
        </span>
      )}
    </span>
  );
}
