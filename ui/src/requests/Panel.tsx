import { ChevronDown, ShieldQuestionMark } from 'lucide-react';
import { type RefObject, useRef } from 'react';
import { IconButton } from '@/components';
import { formatAmount } from '@/format';
import { Card } from './Card';
import { useKeyboard } from './focus';
import { useMoves } from './still';
import { type Asked, putOff, waiting } from './store';

/** Where the panel is found by what points to it. */
export const PANEL = 'requests';

/** How many are shown at once: the rest comes as these are answered. One process leaves room for others. */
const MOST = 20;
const MOST_OF_ONE = 3;

/** The oldest of all and of each process. */
export function inSight(asked: readonly Asked[]): Asked[] {
  const counts = new Map<number, number>();
  const few = asked.filter(({ pid }) => {
    const count = counts.get(pid) ?? 0;
    counts.set(pid, count + 1);
    return count < MOST_OF_ONE;
  });
  return few.slice(0, MOST);
}

/** "1 call waits for you" */
export function sayCount(count: number): string {
  return count === 0
    ? 'No call waits for you'
    : `${formatAmount(count, 'call')} ${count === 1 ? 'waits' : 'wait'} for you`;
}

/** All that is asked, the newest first, so that those before it stay where they are. */
export function Panel({ asked, box }: { asked: readonly Asked[]; box: RefObject<HTMLElement | null> }) {
  const list = useRef<HTMLDivElement>(null);
  const keyboard = useKeyboard(box);
  const cards = inSight(asked);
  // Each card looks where it stands whenever it is drawn.
  useMoves(list);
  return (
    <section
      ref={box}
      id={PANEL}
      aria-label="Calls that wait for you"
      tabIndex={-1}
      {...keyboard}
      onKeyDown={(event) => {
        if (event.key === 'Escape') putOff();
      }}
      className="fixed right-3 bottom-15 z-65 flex max-h-[min(max(70vh,420px),calc(100vh-72px))] w-[min(400px,calc(100vw-24px))] animate-fade flex-col overflow-hidden rounded-lg bg-overlay text-text shadow-focus"
    >
      <header className="flex items-center gap-2 border-b border-line py-2 pr-2 pl-4">
        <ShieldQuestionMark
          size={16}
          strokeWidth={1.75}
          aria-hidden="true"
          className="shrink-0 text-accent-text"
        />
        <h2 className="flex-1 font-semibold tabular">{sayCount(waiting(asked))}</h2>
        <IconButton
          label="Answer later"
          icon={ChevronDown}
          keys={['Escape']}
          tipSide="top"
          className="coarse:size-11!"
          onMouseDown={(event) => event.preventDefault()}
          onClick={putOff}
        />
      </header>
      {/* Scrolled from its end: what comes in at the top moves nothing that is in sight. */}
      <div ref={list} className="flex min-h-0 flex-col-reverse overflow-y-auto">
        <ul>
          {cards.length === asked.length ? null : (
            <li className="px-4 py-2 text-sm text-muted">
              {formatAmount(asked.length - cards.length, 'more', 'more')} after these.
            </li>
          )}
          {cards.toReversed().map((one) => (
            <Card key={one.id} asked={one} />
          ))}
        </ul>
      </div>
    </section>
  );
}
