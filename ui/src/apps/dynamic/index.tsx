import { TriangleAlert } from 'lucide-react';
import { createContext, type ReactNode, useContext, useId, useMemo, useRef, useState } from 'react';
import type { Json } from '@/api/json';
import { Button, cx, ErrorState, Field, Input, TextArea } from '@/components';
import type { AppProps } from '../contract';
import { useExplain } from '../who';
import { ActionError, runAction } from './actions';
import { type Scope, withValue } from './path';
import { type Part, problemOf, resolveView, specSchema } from './spec';

interface Engine {
  run: (action: string, scope: Scope) => Promise<void>;
  set: (path: string, value: Json) => void;
  say: (error: unknown) => string;
}

const EngineContext = createContext<Engine | null>(null);

function useEngine(): Engine {
  const engine = useContext(EngineContext);
  if (engine === null) throw new Error('A part stands outside its app.');
  return engine;
}

/** An app that is data: drawn from its spec, acting as its own process. */
export default function Dynamic({ app, call, state, setState }: AppProps) {
  const explain = useExplain(app);
  const parsed = useMemo(() => specSchema.safeParse(app.ui_spec), [app.ui_spec]);
  const spec = parsed.success ? parsed.data : null;
  const current = useMemo<Json>(
    () =>
      state !== null && typeof state === 'object' && !Array.isArray(state) ? state : (spec?.state ?? {}),
    [state, spec],
  );
  const latest = useRef(current);
  latest.current = current;
  const view = useMemo(() => (spec === null ? null : resolveView(spec.view, current)), [spec, current]);

  const engine = useMemo<Engine>(() => {
    const write = (next: Json): void => {
      latest.current = next;
      setState(next);
    };
    return {
      run: (action, scope) =>
        runAction(spec?.actions ?? {}, action, scope, { call, read: () => latest.current, write }),
      set: (path, value) => write(withValue(latest.current, path, () => value)),
      say: (error) => (error instanceof ActionError ? error.message : explain(error)),
    };
  }, [spec, call, setState, explain]);

  if (view === null) {
    return (
      <ErrorState
        title={`${app.title} can’t be shown: its description is not one.`}
        hint={parsed.error === undefined ? '' : problemOf(parsed.error)}
      />
    );
  }
  return (
    <EngineContext value={engine}>
      <div className="h-full overflow-auto bg-surface p-4">
        <PartView part={view} />
      </div>
    </EngineContext>
  );
}

function PartView({ part }: { part: Part }): ReactNode {
  switch (part.is) {
    case 'text':
      return <Text text={part.text} style={part.style} />;
    case 'input':
      return <InputView part={part} />;
    case 'button':
      return <ButtonView part={part} />;
    case 'form':
      return <FormView part={part} />;
    case 'list':
      return part.parts.length === 0 ? (
        <p className="text-muted">{part.empty}</p>
      ) : (
        <ul className="flex flex-col gap-2">
          {part.parts.map((each) => (
            <li key={each.key} className="min-w-0">
              <PartView part={each} />
            </li>
          ))}
        </ul>
      );
    case 'row':
    case 'column':
      return (
        <div
          className={cx(
            'flex min-w-0 gap-3',
            part.is === 'row' ? 'flex-row flex-wrap items-center' : 'flex-col',
          )}
        >
          {part.parts.map((each) => (
            <PartView key={each.key} part={each} />
          ))}
        </div>
      );
    case 'error':
      return <Problem at={part.at} message={part.message} />;
  }
}

function Problem({ at, message }: { at: string; message: string }) {
  return (
    <div role="alert" className="flex max-w-full gap-2 rounded-md bg-danger-soft px-3 py-2 text-sm">
      <TriangleAlert size={16} strokeWidth={1.75} aria-hidden="true" className="shrink-0 text-danger" />
      <p className="min-w-0 break-words">
        <code>{at}</code> {message}
      </p>
    </div>
  );
}

function Text({ text, style }: { text: string; style: 'title' | 'body' | 'muted' | 'code' }) {
  if (style === 'title') return <h2 className="text-lg font-semibold break-words">{text}</h2>;
  if (style === 'code') {
    return (
      <pre className="max-w-full overflow-auto rounded-md bg-sunken p-3 whitespace-pre-wrap">{text}</pre>
    );
  }
  return (
    <p className={cx('min-w-0 break-words whitespace-pre-wrap', style === 'muted' && 'text-muted')}>{text}</p>
  );
}

function InputView({ part }: { part: Extract<Part, { is: 'input' }> }) {
  const engine = useEngine();
  const [error, setError] = useState<string | undefined>(undefined);
  const change = (text: string): void => {
    const number = part.kind === 'number' && text !== '' ? Number(text) : Number.NaN;
    try {
      engine.set(part.bind, Number.isFinite(number) ? number : text);
      setError(undefined);
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
    }
  };
  return (
    <Field label={part.label} error={error} className="min-w-40 flex-1">
      {(control) =>
        part.multiline ? (
          <TextArea
            {...control}
            value={part.value}
            placeholder={part.placeholder}
            onChange={(event) => change(event.target.value)}
          />
        ) : (
          <Input
            {...control}
            type={part.kind}
            value={part.value}
            placeholder={part.placeholder}
            onChange={(event) => change(event.target.value)}
          />
        )
      }
    </Field>
  );
}

/** Runs an action, one at a time, and keeps what went wrong. */
function useAction(action: string, scope: Scope) {
  const engine = useEngine();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const run = (): void => {
    if (busy) return;
    setBusy(true);
    setError(null);
    engine
      .run(action, scope)
      .catch((failure: unknown) => setError(engine.say(failure)))
      .finally(() => setBusy(false));
  };
  return { busy, error, run };
}

function ButtonView({ part }: { part: Extract<Part, { is: 'button' }> }) {
  const { busy, error, run } = useAction(part.action, part.scope);
  const note = useId();
  return (
    <span className="inline-flex max-w-full flex-col items-start gap-1">
      <Button
        variant={part.style}
        onClick={run}
        aria-disabled={busy}
        aria-describedby={error === null ? undefined : note}
        className="max-w-full"
      >
        <span className="truncate">{part.label}</span>
      </Button>
      {error === null ? null : (
        <span id={note} role="alert" className="text-sm break-words text-danger">
          {error}
        </span>
      )}
    </span>
  );
}

function FormView({ part }: { part: Extract<Part, { is: 'form' }> }) {
  const { busy, error, run } = useAction(part.submit.action, part.scope);
  return (
    <form
      className="flex max-w-[60ch] flex-col gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        run();
      }}
    >
      {part.fields.map((each) => (
        <PartView key={each.key} part={each} />
      ))}
      <span>
        <Button type="submit" variant="primary" aria-disabled={busy}>
          {part.submit.label}
        </Button>
      </span>
      {error === null ? null : (
        <p role="alert" className="text-sm break-words text-danger">
          {error}
        </p>
      )}
    </form>
  );
}
