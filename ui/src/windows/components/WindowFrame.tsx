import { memo, type ReactNode, useEffect, useRef, useState } from 'react';
import { Rnd } from 'react-rnd';
import { cx } from '@/components/cx';
import { focusWhenFree } from '@/components/floating';
import { smallest } from '../core/bounds';
import type { WindowModel } from '../core/types';
import { isCompact, workArea } from '../core/viewport';
import { useIsFocused, useWindow } from '../store/selectors';
import { useWindows } from '../store/windows';
import { AppSlot } from './AppSlot';
import { handleStyles } from './handles';
import { useFrameInteraction } from './interaction';
import { DRAG_CLASS, TitleBar } from './TitleBar';

export interface WindowFrameProps {
  id: string;
  renderApp: (window: WindowModel) => ReactNode;
  renderShield?: ((window: WindowModel) => ReactNode) | undefined;
  onClose: (id: string) => void;
}

/** One window. Hidden by visibility, never by display, and only ever moved, never scaled: react-rnd measures. */
export const WindowFrame = memo(function WindowFrame({
  id,
  renderApp,
  renderShield,
  onClose,
}: WindowFrameProps) {
  const window = useWindow(id);
  const focused = useIsFocused(id);
  const page = useWindows((state) => state.page);
  const elsewhere = useWindows((state) => state.windows[id]?.workspace !== state.workspace);
  const interaction = useFrameInteraction(id);
  const content = useRef<HTMLDivElement>(null);
  const raise = useWindows((state) => state.focus);
  const [fresh, setFresh] = useState(true);

  useFocusFollows(content, focused && window?.state !== 'minimized');
  if (!window) return null;

  const { bounds, state } = window;
  const area = workArea(page);
  const least = smallest(area, window.minSize);
  const hidden = state === 'minimized' || elsewhere;
  // A page with room for one window only leaves nothing to drag or resize.
  const fixed = state === 'fullscreen' || isCompact(page);
  const free = !fixed && (state === 'normal' || state === 'snapped');
  const square = fixed || state === 'maximized' || state === 'snapped';
  return (
    <Rnd
      data-window-id={id}
      data-app={window.manifestId}
      data-state={state}
      data-snap={window.snap ?? ''}
      data-focused={focused}
      role="dialog"
      aria-modal="false"
      aria-label={window.title}
      inert={hidden}
      position={{ x: bounds.x, y: bounds.y }}
      size={{ width: bounds.width, height: bounds.height }}
      // A zone of a small page may be smaller than a window is by itself.
      minWidth={Math.min(least.width, bounds.width)}
      minHeight={Math.min(least.height, bounds.height)}
      maxWidth={state === 'fullscreen' ? page.width : area.width}
      maxHeight={state === 'fullscreen' ? page.height : area.height}
      bounds=".window-bounds"
      dragHandleClassName={DRAG_CLASS}
      disableDragging={fixed}
      enableResizing={free && !hidden}
      resizeHandleStyles={handleStyles}
      style={{
        zIndex: window.z,
        visibility: elsewhere ? 'hidden' : undefined,
        pointerEvents: hidden ? 'none' : 'auto',
      }}
      onPointerDownCapture={() => {
        if (!focused) raise(id);
      }}
      {...interaction}
    >
      <div
        data-hidden={state === 'minimized'}
        data-fresh={fresh}
        onAnimationEnd={(event) => event.target === event.currentTarget && setFresh(false)}
        className={cx(
          'window-body flex h-full flex-col overflow-hidden bg-surface',
          square ? 'rounded-none' : 'rounded-lg',
          // What fills an edge casts nothing over its neighbour.
          focused && !square ? 'shadow-focus' : 'shadow-rest',
          state === 'fullscreen' && 'group/full',
        )}
      >
        <div className={cx(state === 'fullscreen' && 'window-chrome')}>
          <TitleBar
            id={id}
            title={window.title}
            icon={window.icon}
            pid={window.pid}
            dirty={window.dirty ?? false}
            focused={focused}
            maximized={state === 'maximized' || state === 'fullscreen'}
            shield={renderShield?.(window)}
            onClose={onClose}
          />
        </div>
        <div ref={content} tabIndex={-1} className="window-content relative min-h-0 flex-1 overflow-auto">
          <AppSlot window={window} render={renderApp} />
        </div>
      </div>
    </Rnd>
  );
});

/** The keyboard goes where the window focus goes, unless it is in that window already. */
function useFocusFollows(content: React.RefObject<HTMLDivElement | null>, focused: boolean): void {
  useEffect(() => {
    const element = content.current;
    if (!focused || !element) return;
    const frame = element.closest('[data-window-id]');
    if (frame?.contains(document.activeElement)) return;
    focusWhenFree(() => {
      const wanted = element.querySelector<HTMLElement>('[data-autofocus]');
      (wanted ?? element).focus({ preventScroll: true });
    });
  }, [content, focused]);
}
