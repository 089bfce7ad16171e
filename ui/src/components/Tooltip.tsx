import { Tooltip as Radix } from 'radix-ui';
import { createContext, type ReactElement, type ReactNode, useContext } from 'react';
import { floating } from './floating';
import { Keys } from './Kbd';

const Provided = createContext(false);

/** Whether the last key was Tab. Focus that comes back from a menu or a dialog brings no tip, which would be in the way. */
let tabbed = false;
globalThis.addEventListener?.(
  'keydown',
  (event) => {
    tabbed = event.key === 'Tab';
  },
  { capture: true },
);
globalThis.addEventListener?.(
  'pointerdown',
  () => {
    tabbed = false;
  },
  { capture: true },
);

/** Shares the opening delay, so that moving along a row of buttons opens the next tip at once. */
export function TooltipProvider({ children }: { children: ReactNode }) {
  return (
    <Provided value={true}>
      <Radix.Provider delayDuration={500} skipDelayDuration={250}>
        {children}
      </Radix.Provider>
    </Provided>
  );
}

export interface TooltipProps {
  label: ReactNode;
  /** Chords, as registered with the command: "Ctrl+Alt+W". */
  keys?: readonly string[];
  side?: 'top' | 'right' | 'bottom' | 'left';
  children: ReactElement;
}

export function Tooltip({ label, keys, side = 'bottom', children }: TooltipProps) {
  const provided = useContext(Provided);
  const tip = (
    <Radix.Root disableHoverableContent>
      <Radix.Trigger asChild onFocus={(event) => tabbed || event.preventDefault()}>
        {children}
      </Radix.Trigger>
      <Radix.Portal container={floating()}>
        <Radix.Content
          side={side}
          sideOffset={6}
          collisionPadding={8}
          className="z-[9500] flex max-w-80 items-center gap-2 rounded-md bg-overlay px-2 py-1 text-sm text-text shadow-menu select-none data-[state=delayed-open]:animate-fade"
        >
          <span className="truncate">{label}</span>
          {keys?.length ? <Keys chord={keys[0] as string} /> : null}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
  return provided ? tip : <TooltipProvider>{tip}</TooltipProvider>;
}
