import { ShieldQuestionMark } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { registerCommands, useCommandKeys } from '@/commands';
import { focusWhenFree, Tooltip } from '@/components';
import { PANEL, Panel, sayCount } from './Panel';
import { putOff, show, startRequests, useRequests, waiting } from './store';
import { sayAsked } from './words';

const COMMAND = 'requests.show';

/** The calls that wait for a right, over the desktop until they are answered or put off. */
export function Requests() {
  const asked = useRequests((state) => state.asked);
  const shown = useRequests((state) => state.asked.length > 0 && state.putOff === null);
  const panel = useRef<HTMLElement>(null);
  useEffect(startRequests, []);
  useEffect(
    () =>
      registerCommands([
        {
          id: COMMAND,
          label: 'Answer the calls that wait for a right',
          group: 'System',
          keys: ['Ctrl+Alt+R'],
          words: 'ask allow deny permission request',
          icon: ShieldQuestionMark,
          when: () => useRequests.getState().asked.length > 0,
          run: () => {
            show();
            focusWhenFree(() => requestAnimationFrame(() => panel.current?.focus({ preventScroll: true })));
          },
        },
      ]),
    [],
  );
  return (
    <>
      <Announcement />
      {shown ? <Panel asked={asked} box={panel} /> : null}
    </>
  );
}

/** Each request is said once, when whoever listens is free to hear. */
function Announcement() {
  const asked = useRequests((state) => state.asked);
  const [said, setSaid] = useState({ id: 0, words: '' });
  const newest = asked.at(-1);
  useEffect(() => {
    if (newest === undefined) setSaid(({ id }) => ({ id, words: '' }));
    else if (newest.id > said.id) {
      setSaid({ id: newest.id, words: `${sayAsked(newest)}. ${sayCount(waiting(asked))}.` });
    }
  }, [newest, asked, said.id]);
  return (
    <div role="status" aria-live="polite" className="sr-only">
      {said.words}
    </div>
  );
}

/** In the taskbar while something waits: how much, shown or put off. */
export function RequestsButton() {
  const count = useRequests((state) => waiting(state.asked));
  const shown = useRequests((state) => state.putOff === null);
  const keys = useCommandKeys(COMMAND);
  if (count === 0) return null;
  return (
    <Tooltip label={sayCount(count)} keys={keys} side="top">
      <button
        type="button"
        aria-label={sayCount(count)}
        aria-expanded={shown}
        {...(shown ? { 'aria-controls': PANEL } : {})}
        onMouseDown={(event) => event.preventDefault()}
        onClick={shown ? putOff : show}
        className="flex h-8 shrink-0 items-center gap-1.5 rounded-md bg-accent px-2 text-sm font-semibold text-on-accent tabular hover:bg-accent-hover coarse:h-11 coarse:min-w-11"
      >
        <ShieldQuestionMark size={16} strokeWidth={1.75} aria-hidden="true" />
        {count}
      </button>
    </Tooltip>
  );
}
