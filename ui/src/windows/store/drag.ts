import { create } from 'zustand';
import type { Rect } from '../core/types';

interface DragStore {
  /** The window that is being dragged or resized. */
  id: string | null;
  /** Where it would land if it were let go now. */
  preview: Rect | null;
  begin: (id: string) => void;
  show: (preview: Rect | null) => void;
  end: () => void;
}

/** Apart from the windows, so that a drag re-renders nothing but the plate. */
export const useDrag = create<DragStore>()((set, get) => ({
  id: null,
  preview: null,
  begin: (id) => {
    document.documentElement.dataset.dragging = '';
    set({ id, preview: null });
  },
  show: (preview) => {
    const now = get().preview;
    if (now === preview || (now && preview && sameNumbers(now, preview))) return;
    set({ preview });
  },
  end: () => {
    delete document.documentElement.dataset.dragging;
    set({ id: null, preview: null });
  },
}));

function sameNumbers(a: Rect, b: Rect): boolean {
  return a.x === b.x && a.y === b.y && a.width === b.width && a.height === b.height;
}
