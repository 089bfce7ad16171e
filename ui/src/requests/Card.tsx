import { ChevronRight } from 'lucide-react';
import { lazy, Suspense, useId, useRef, useState } from 'react';
import type { RightAnswer } from '@/api/asked';
import { Boundary } from '@/apps/boundary';
import { AppIcon, Button, cx, ProcessMark, SkeletonRows } from '@/components';
import { useDesktopStore } from '@/sync/desktop';
import { AnswerButton } from './AnswerButton';
import { useStill } from './still';
import { type Asked, answer, dismiss } from './store';
import { askerOf, sayFailure, sayOver, sayWanted, visible } from './words';

const Details = lazy(() => import('./Details'));

const ANSWERS: readonly { said: RightAnswer; label: string }[] = [
  { said: 'deny', label: 'Deny' },
  { said: 'once', label: 'Allow once' },
  { said: 'always', label: 'Always' },
];

/** One request: who asks for what, the call itself on demand, and the answers. */
export function Card({ asked }: { asked: Asked }) {
  const id = useId();
  const [open, setOpen] = useState(false);
  return (
    <li aria-labelledby={`${id}who ${id}pid ${id}what`} className="border-line px-4 py-3 not-first:border-t">
      <Who asked={asked} id={id} />
      <p id={`${id}what`} className="mt-1 wrap-anywhere">
        wants to {sayWanted(asked)}
      </p>
      <button
        type="button"
        aria-expanded={open}
        aria-controls={`${id}details`}
        onMouseDown={(event) => event.preventDefault()}
        onClick={() => setOpen(!open)}
        className="mt-1 -ml-1 flex h-8 max-w-full items-center gap-1 rounded-md pr-2 pl-1 text-sm text-muted hover:bg-hover hover:text-text coarse:h-11"
      >
        <ChevronRight
          size={14}
          strokeWidth={1.75}
          aria-hidden="true"
          className={cx('shrink-0 transition-transform duration-100', open && 'rotate-90')}
        />
        <span className="truncate">
          The call <code>{visible(asked.call)}</code>
        </span>
      </button>
      <div id={`${id}details`} hidden={!open}>
        {open ? (
          <Boundary title="The call">
            <Suspense fallback={<SkeletonRows rows={2} />}>
              <Details asked={asked} />
            </Suspense>
          </Boundary>
        ) : null}
      </div>
      <Answers asked={asked} describedBy={`${id}who ${id}what`} />
    </li>
  );
}

function Who({ asked, id }: { asked: Asked; id: string }) {
  const apps = useDesktopStore((state) => state.apps);
  const { name, icon } = askerOf(asked, apps);
  return (
    <p className="flex gap-2">
      {icon === null ? null : <AppIcon name={icon} className="mt-0.5" />}
      <span id={`${id}who`} className="min-w-0 font-semibold wrap-anywhere" title={visible(asked.name)}>
        {name}
      </span>
      <span id={`${id}pid`} className="flex h-5 shrink-0 items-center gap-1.5 text-sm text-muted tabular">
        <ProcessMark pid={asked.pid} />
        process {asked.pid}
      </span>
    </p>
  );
}

function Answers({ asked, describedBy }: { asked: Asked; describedBy: string }) {
  const row = useRef<HTMLDivElement>(null);
  const still = useStill(row);
  const { answering, failed, over } = asked;
  return (
    <>
      <div role="alert">
        {failed === null ? null : (
          <p className="mt-1 text-sm wrap-anywhere text-danger">{sayFailure(failed)}</p>
        )}
        {over === null ? null : <p className="mt-1 text-sm text-warning">{sayOver(over)}</p>}
      </div>
      <div ref={row} className="mt-2 flex gap-2">
        {over === null ? (
          ANSWERS.map(({ said, label }) => (
            <AnswerButton
              key={said}
              still={still}
              busy={answering !== null}
              describedBy={describedBy}
              onAnswer={() => void answer(asked.id, said)}
            >
              {answering === said ? `${label}…` : label}
            </AnswerButton>
          ))
        ) : (
          <Button
            aria-describedby={describedBy}
            className="ml-auto"
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => dismiss(asked.id)}
          >
            Dismiss
          </Button>
        )}
      </div>
    </>
  );
}
