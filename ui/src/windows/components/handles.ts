import type { HandleStyles } from 'react-rnd';

/** Outside the visual edge, so that nothing in the window is harder to hit. */
function around(edge: number, corner: number): HandleStyles {
  // Corners reach a little inside, where a rounded corner leaves room, but not as far as the close button.
  const out = corner - 4;
  const side = { height: edge, left: 4, right: 4, width: 'auto', cursor: 'ns-resize', touchAction: 'none' };
  const flank = { width: edge, top: 4, bottom: 4, height: 'auto', cursor: 'ew-resize', touchAction: 'none' };
  const nook = { width: corner, height: corner, touchAction: 'none' };
  return {
    top: { ...side, top: -edge },
    bottom: { ...side, bottom: -edge },
    left: { ...flank, left: -edge },
    right: { ...flank, right: -edge },
    topLeft: { ...nook, top: -out, left: -out, cursor: 'nwse-resize' },
    topRight: { ...nook, top: -out, right: -out, cursor: 'nesw-resize' },
    bottomLeft: { ...nook, bottom: -out, left: -out, cursor: 'nesw-resize' },
    bottomRight: { ...nook, bottom: -out, right: -out, cursor: 'nwse-resize' },
  };
}

/** A finger needs more of an edge than a mouse. */
const byFinger = globalThis.matchMedia?.('(pointer: coarse)').matches ?? false;

export const handleStyles: HandleStyles = byFinger ? around(20, 36) : around(8, 16);
