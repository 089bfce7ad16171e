/** Whole CSS pixels, measured from the work area's top-left corner. */
export interface Point {
  x: number;
  y: number;
}

export interface Size {
  width: number;
  height: number;
}

export interface Rect extends Point, Size {}

export const WINDOW_STATES = ['normal', 'minimized', 'maximized', 'fullscreen', 'snapped'] as const;
export type WindowState = (typeof WINDOW_STATES)[number];

export const SNAP_ZONES = ['left', 'right', 'top_left', 'top_right', 'bottom_left', 'bottom_right'] as const;
export type SnapZone = (typeof SNAP_ZONES)[number];

/** Where a drag may land: a zone, or the top edge, which maximises. */
export type SnapTarget = SnapZone | 'maximize';

export type Direction = 'left' | 'right' | 'up' | 'down';

export type RestoreState = Exclude<WindowState, 'minimized'>;

export const WORKSPACES = 4;

export interface WindowModel {
  /** The server's window_id. */
  id: string;
  appId: string;
  manifestId: string;
  title: string;
  /** A lucide name, such as "folder". */
  icon: string;
  /** null once its process has ended. */
  pid: number | null;
  /** What is on the screen; for a minimised window, what will be again. */
  bounds: Rect;
  /** The geometry of the normal state, to go back to from any other. */
  restoreBounds: Rect;
  state: WindowState;
  /** What a minimised window comes back as; else equal to `state`. */
  restoreState: RestoreState;
  snap: SnapZone | null;
  z: number;
  workspace: number;
  parentId: string | null;
  /** Version of the window on the server; every accepted change adds 1. */
  version: number;
  minSize: Size;
  dirty?: boolean;
}
