import { type RefObject, useLayoutEffect, useMemo, useRef } from 'react';
import { spell } from './spell';
import type { Asked } from './store';
import { visible } from './words';

/** Whether it may have to be scrolled, which is to be done by keys, too. */
function isLong(text: string): boolean {
  return text.length > 200 || text.split('\n').length > 5;
}

/** The list stands on its end. What was just opened and doesn’t fit is read from its beginning instead. */
function useBeginning(part: RefObject<HTMLElement | null>): void {
  useLayoutEffect(() => {
    const card = part.current?.closest('li');
    const list = card?.parentElement?.parentElement;
    if (!card || !list) return;
    const above = list.getBoundingClientRect().top - card.getBoundingClientRect().top;
    // Its line on top would lie beside that of the list’s head.
    if (above > 0) list.scrollTop -= above - card.clientTop;
  }, [part]);
}

/** The call as it was made, and what an answer gives. */
export default function Details({ asked }: { asked: Asked }) {
  const given = useMemo(() => spell(asked), [asked]);
  const part = useRef<HTMLDivElement>(null);
  useBeginning(part);
  return (
    <div ref={part} className="mt-1 flex flex-col gap-2 rounded-md bg-sunken p-3 text-sm">
      {given.length === 0 ? (
        <p className="text-muted">
          {asked.abridged ? 'Its arguments are too long to be shown.' : 'It has no arguments.'}
        </p>
      ) : (
        <dl className="flex flex-col gap-2">
          {given.map(({ name, note, text }) => (
            <div key={name}>
              <dt className="text-muted">
                <code>{name}</code>
                {note === null ? null : ` (${note})`}
              </dt>
              <Exact text={text === '' ? '""' : text} />
            </div>
          ))}
        </dl>
      )}
      {asked.abridged && given.length > 0 ? (
        <p className="text-muted">What ends in … is longer than is shown.</p>
      ) : null}
      <dl className="border-t border-line pt-2">
        <dt className="text-muted">
          “Allow once” gives this to the one call, “Always” to process {asked.pid} until it ends:
        </dt>
        <Exact text={visible(asked.right)} />
      </dl>
    </div>
  );
}

function Exact({ text }: { text: string }) {
  return (
    // Cut in the midst of a line, so that one sees that it goes on.
    <dd className="max-h-30 overflow-auto rounded-sm" {...(isLong(text) ? { tabIndex: 0 } : {})}>
      <code className="wrap-anywhere whitespace-pre-wrap">{text}</code>
    </dd>
  );
}
