import { z } from 'zod';
import { jsonSchema } from './json';

/** What a window is on the screen. */
export const windowStateSchema = z.enum(['normal', 'minimized', 'maximized', 'fullscreen', 'snapped']);
/** What a minimised window comes back as. */
export const restoreStateSchema = z.enum(['normal', 'maximized', 'snapped', 'fullscreen']);
/** Where a snapped window lies. The top edge maximises instead. */
export const snapSchema = z.enum(['left', 'right', 'top_left', 'top_right', 'bottom_left', 'bottom_right']);

export const pointSchema = z.object({ x: z.number(), y: z.number() });
export const sizeSchema = z.object({ width: z.number(), height: z.number() });
export const rectSchema = z.object({
  x: z.number(),
  y: z.number(),
  width: z.number(),
  height: z.number(),
});

/** A component that comes with the desktop. */
export const builtinSpecSchema = z.object({ builtin: z.string().min(1) });

/** One running instance of an app, with its window and its own state. */
export const runningAppSchema = z.object({
  id: z.string().min(1),
  manifest_id: z.string(),
  title: z.string(),
  icon: z.string(),
  // A component's name or an app as data; the latter is judged node by node where it is drawn.
  ui_spec: jsonSchema,
  state: jsonSchema,
  state_version: z.number().int(),
  window_id: z.string(),
  window_pos: pointSchema,
  window_size: sizeSchema,
  window_state: windowStateSchema,
  restore_state: restoreStateSchema,
  restore_bounds: rectSchema,
  snap: snapSchema.nullable(),
  z: z.number().int(),
  workspace: z.number().int(),
  version: z.number().int(),
  parent_id: z.string().nullable(),
  pid: z.number().int().nullable(),
  fullscreen: z.boolean(),
  min_size: sizeSchema,
  singleton: z.boolean(),
  // What its process was given, as `right:pattern`.
  grants: z.array(z.string()).optional(),
});

export type RunningApp = z.infer<typeof runningAppSchema>;
export type WindowState = z.infer<typeof windowStateSchema>;
export type RestoreState = z.infer<typeof restoreStateSchema>;
export type Snap = z.infer<typeof snapSchema>;

export const appsSchema = z.object({ apps: z.array(runningAppSchema) });
export const closedSchema = z.object({ closed: z.array(z.string()) });
export const focusedSchema = z.object({
  success: z.literal(true),
  z: z.number().int(),
  version: z.number().int(),
});
export const acceptedSchema = z.object({ success: z.literal(true), version: z.number().int() });

/** A settled change of a window, as the server takes it. */
export interface WindowChange {
  window_id: string;
  position: { x: number; y: number };
  size: { width: number; height: number };
  z?: number;
  state?: WindowState;
  snap?: Snap | null;
  restore_state?: RestoreState;
  restore_bounds?: { x: number; y: number; width: number; height: number };
  workspace?: number;
  version?: number;
}

/** The name of the built-in component, if the app is one. */
export function builtinOf(spec: unknown): string | null {
  const parsed = builtinSpecSchema.safeParse(spec);
  return parsed.success ? parsed.data.builtin : null;
}
