import { type ReactNode, useEffect } from 'react';
import { highestZ } from '../core/order';
import type { WindowModel } from '../core/types';
import { coversTaskbar, useWindowIds } from '../store/selectors';
import { useWindows } from '../store/windows';
import { SnapPreview } from './SnapPreview';
import { WindowFrame } from './WindowFrame';

export interface WindowLayerProps {
  renderApp: (window: WindowModel) => ReactNode;
  /** The shield of the title bar. */
  renderShield?: (window: WindowModel) => ReactNode;
  onClose: (id: string) => void;
}

export function WindowLayer({ renderApp, renderShield, onClose }: WindowLayerProps) {
  const ids = useWindowIds();
  const top = useWindows((state) => highestZ(Object.values(state.windows)));
  const covers = useWindows(coversTaskbar);
  usePageSize();
  return (
    <div
      className="pointer-events-none fixed inset-0 isolate flex-wrap overflow-hidden"
      style={{ zIndex: covers ? 60 : 10 }}
    >
      {/* A title bar may go past the left, right and bottom edges, but not over the top. */}
      <div className="window-bounds invisible absolute" />
      <SnapPreview z={top} />
      {ids.map((id) => (
        <WindowFrame key={id} id={id} renderApp={renderApp} renderShield={renderShield} onClose={onClose} />
      ))}
    </div>
  );
}

function usePageSize(): void {
  const setViewport = useWindows((state) => state.setViewport);
  useEffect(() => {
    const measure = () => setViewport({ width: window.innerWidth, height: window.innerHeight });
    measure();
    window.addEventListener('resize', measure);
    return () => window.removeEventListener('resize', measure);
  }, [setViewport]);
}
