import { ChevronRight, Pencil } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { cx, IconButton, Input } from '@/components';
import { type Path, pathOf, steps } from './path';

/** The way to here, each step a button; or, on demand, a path to type. */
export function Breadcrumbs({ path, onGo }: { path: Path; onGo: (path: Path) => void }) {
  const [typing, setTyping] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const end = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (typing) input.current?.select();
  }, [typing]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the last step is to be seen when the path changes
  useEffect(() => {
    // It gives a promise where scrolling is smooth; an effect must give nothing.
    end.current?.scrollIntoView?.({ inline: 'end', block: 'nearest' });
  }, [path.text]);

  if (typing) {
    return (
      <form
        className="min-w-0 flex-1"
        onSubmit={(event) => {
          event.preventDefault();
          onGo(pathOf(input.current?.value ?? path.text));
          setTyping(false);
        }}
      >
        <Input
          ref={input}
          aria-label="Path"
          defaultValue={path.text}
          mono
          spellCheck={false}
          onBlur={() => setTyping(false)}
          onKeyDown={(event) => {
            if (event.key === 'Escape') setTyping(false);
          }}
        />
      </form>
    );
  }
  const list = steps(path);
  return (
    <>
      <nav aria-label="Path" className="min-w-0 flex-1 overflow-x-auto [scrollbar-width:none]">
        <ol className="flex items-center">
          {list.map((step, at) => {
            const last = at === list.length - 1;
            return (
              <li key={step.path.text} ref={last ? end : null} className="flex shrink-0 items-center">
                {at > 0 ? <ChevronRight size={14} aria-hidden="true" className="text-faint" /> : null}
                <button
                  type="button"
                  aria-label={at === 0 ? 'The root folder' : undefined}
                  aria-current={last ? 'location' : undefined}
                  onClick={() => onGo(step.path)}
                  className={cx(
                    'h-8 max-w-48 truncate rounded-md px-1.5 hover:bg-hover coarse:min-h-11',
                    last ? 'font-medium' : 'text-muted',
                  )}
                >
                  {step.name}
                </button>
              </li>
            );
          })}
        </ol>
      </nav>
      <IconButton label="Type a path" icon={Pencil} onClick={() => setTyping(true)} />
    </>
  );
}
