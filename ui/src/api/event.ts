import { z } from 'zod';
import { runningAppSchema } from './app';
import { rightOutcomeSchema, rightRequestSchema } from './asked';

const stamp = { epoch: z.union([z.string(), z.number()]), seq: z.number().int() };
const by = z.string().nullish();

export const helloSchema = z.object({ ...stamp, type: z.literal('hello') });
export const resyncSchema = z.object({ ...stamp, type: z.literal('resync') });
export const processEventSchema = z.object({
  ...stamp,
  type: z.literal('process'),
  change: z.enum(['started', 'ended']),
  pid: z.number().int(),
  parent: z.number().int().nullish(),
  name: z.string(),
});
export const fileEventSchema = z.object({
  ...stamp,
  type: z.literal('file'),
  change: z.enum(['created', 'written', 'attributes', 'removed', 'moved']),
  path: z.string(),
  to: z.string().nullish(),
  directory: z.boolean(),
  pid: z.number().int().nullish(),
});
export const appEventSchema = z.object({
  ...stamp,
  type: z.literal('app'),
  change: z.enum(['opened', 'changed', 'closed']),
  id: z.string(),
  app: runningAppSchema.nullish(),
  by,
});
export const windowEventSchema = z.object({
  ...stamp,
  type: z.literal('window'),
  id: z.string(),
  app: runningAppSchema,
  by,
});
export const desktopEventSchema = z.object({
  ...stamp,
  type: z.literal('desktop'),
  apps: z.array(runningAppSchema),
  by,
});
export const registryEventSchema = z.object({
  ...stamp,
  type: z.literal('registry'),
  change: z.enum(['put', 'removed']),
  id: z.string(),
});
export const sessionEventSchema = z.object({
  ...stamp,
  type: z.literal('session'),
  change: z.enum(['saved', 'removed']),
  id: z.string(),
});
/** A call waits for a right. */
export const rightRequestedEventSchema = z.object({
  ...stamp,
  type: z.literal('right_requested'),
  ...rightRequestSchema.shape,
});
/** It waits no longer. */
export const rightSettledEventSchema = z.object({
  ...stamp,
  type: z.literal('right_settled'),
  id: z.number().int(),
  pid: z.number().int(),
  outcome: rightOutcomeSchema,
  /** The process that answered, if one did. */
  by: z.number().int().nullish(),
});

export const eventSchema = z.discriminatedUnion('type', [
  helloSchema,
  resyncSchema,
  processEventSchema,
  fileEventSchema,
  appEventSchema,
  windowEventSchema,
  desktopEventSchema,
  registryEventSchema,
  sessionEventSchema,
  rightRequestedEventSchema,
  rightSettledEventSchema,
]);
export type SystemEvent = z.infer<typeof eventSchema>;
export type EventType = SystemEvent['type'];
export type EventOf<T extends EventType> = Extract<SystemEvent, { type: T }>;

/** What every frame has, even one of a type this desktop doesn't know yet. */
export const frameSchema = z.looseObject({ ...stamp, type: z.string() });
