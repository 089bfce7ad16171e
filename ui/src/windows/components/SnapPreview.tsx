import { useDrag } from '../store/drag';

/** A plate at the exact landing place. As high as the window in the hand, and before it in the document: just under it. */
export function SnapPreview({ z }: { z: number }) {
  const preview = useDrag((state) => state.preview);
  if (!preview) return null;
  return (
    <div
      data-testid="snap-preview"
      aria-hidden="true"
      className="snap-preview pointer-events-none absolute"
      style={{
        left: preview.x,
        top: preview.y,
        width: preview.width,
        height: preview.height,
        zIndex: z,
      }}
    />
  );
}
