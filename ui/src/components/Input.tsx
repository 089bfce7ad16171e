import { type ComponentProps, type ReactNode, useId } from 'react';
import { cx } from './cx';

const field =
  'w-full rounded-md border border-line-strong bg-surface text-text placeholder:text-faint transition-colors duration-100 hover:border-muted disabled:opacity-50 aria-invalid:border-danger focus-visible:outline-offset-0';

export interface InputProps extends ComponentProps<'input'> {
  mono?: boolean;
}

export function Input({ mono, className, ...rest }: InputProps) {
  return (
    <input className={cx(field, 'h-8 px-2.5 coarse:min-h-11', mono && 'font-mono', className)} {...rest} />
  );
}

export function TextArea({ mono, className, ...rest }: ComponentProps<'textarea'> & { mono?: boolean }) {
  return (
    <textarea className={cx(field, 'min-h-20 px-2.5 py-1.5', mono && 'font-mono', className)} {...rest} />
  );
}

export function Select({ className, ...rest }: ComponentProps<'select'>) {
  return <select className={cx(field, 'h-8 px-2 coarse:min-h-11', className)} {...rest} />;
}

export interface FieldProps {
  label: string;
  /** What is wrong and what would be right. */
  error?: string | undefined;
  hint?: ReactNode;
  /** Gets the ids that tie the control to its label, hint and error. */
  children: (control: { id: string; 'aria-invalid'?: true; 'aria-describedby'?: string }) => ReactNode;
  className?: string;
}

export function Field({ label, error, hint, children, className }: FieldProps) {
  const id = useId();
  const note = error ?? hint;
  return (
    <div className={cx('flex flex-col gap-1', className)}>
      <label htmlFor={id} className="text-sm font-medium text-muted">
        {label}
      </label>
      {children({
        id,
        ...(error ? { 'aria-invalid': true as const } : {}),
        ...(note ? { 'aria-describedby': `${id}-note` } : {}),
      })}
      {note ? (
        <p
          id={`${id}-note`}
          role={error ? 'alert' : undefined}
          className={cx('text-sm', error ? 'text-danger' : 'text-faint')}
        >
          {note}
        </p>
      ) : null}
    </div>
  );
}
