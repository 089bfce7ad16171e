import type { HandleStyles } from 'react-rnd';

const EDGE = 8;
const CORNER = 16;
/** Corners reach a little inside, where a rounded corner leaves room, but not as far as the close button. */
const OUT = 12;

/** Outside the visual edge, so that nothing in the window is harder to hit. */
export const handleStyles: HandleStyles = {
  top: { height: EDGE, top: -EDGE, left: 4, right: 4, width: 'auto', cursor: 'ns-resize' },
  bottom: { height: EDGE, bottom: -EDGE, left: 4, right: 4, width: 'auto', cursor: 'ns-resize' },
  left: { width: EDGE, left: -EDGE, top: 4, bottom: 4, height: 'auto', cursor: 'ew-resize' },
  right: { width: EDGE, right: -EDGE, top: 4, bottom: 4, height: 'auto', cursor: 'ew-resize' },
  topLeft: { width: CORNER, height: CORNER, top: -OUT, left: -OUT, cursor: 'nwse-resize' },
  topRight: { width: CORNER, height: CORNER, top: -OUT, right: -OUT, cursor: 'nesw-resize' },
  bottomLeft: { width: CORNER, height: CORNER, bottom: -OUT, left: -OUT, cursor: 'nesw-resize' },
  bottomRight: { width: CORNER, height: CORNER, bottom: -OUT, right: -OUT, cursor: 'nwse-resize' },
};
