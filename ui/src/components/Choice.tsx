import { type ReactNode, useId } from 'react';
import { cx } from './cx';

export interface ChoiceProps<T extends string> {
  label: string;
  value: T;
  options: readonly { value: T; label: ReactNode; name?: string }[];
  onChange: (value: T) => void;
}

/** A few exclusive options beside each other: radio buttons, drawn as one control. */
export function Choice<T extends string>({ label, value, options, onChange }: ChoiceProps<T>) {
  const name = useId();
  return (
    <fieldset>
      <legend className="mb-1 text-sm font-medium text-muted">{label}</legend>
      <div className="flex gap-0.5 rounded-md bg-sunken p-0.5">
        {options.map((option) => (
          <label
            key={option.value}
            className={cx(
              'grid h-8 min-w-0 flex-1 place-items-center rounded-[5px] px-2 text-center select-none coarse:min-h-11',
              'has-focus-visible:outline-2 has-focus-visible:outline-focus',
              option.value === value
                ? 'bg-overlay font-medium text-text shadow-rest'
                : 'text-muted hover:bg-hover hover:text-text',
            )}
          >
            <input
              type="radio"
              name={name}
              value={option.value}
              checked={option.value === value}
              aria-label={option.name}
              onChange={() => onChange(option.value)}
              className="sr-only"
            />
            {option.label}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
