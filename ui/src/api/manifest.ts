import { z } from 'zod';
import { jsonSchema } from './json';

const sizes = z.object({
  width: z.number().int().min(1),
  height: z.number().int().min(1),
  min_width: z.number().int().min(0),
  min_height: z.number().int().min(0),
});

/** What the registry knows of an app. */
export const manifestSchema = z.object({
  id: z.string().min(1),
  title: z.string(),
  icon: z.string(),
  description: z.string(),
  category: z.string(),
  ui_spec: jsonSchema,
  services: z.array(z.string()),
  grants: z.array(z.string()),
  fullscreen: z.boolean(),
  singleton: z.boolean(),
  window: sizes,
  built_in: z.boolean(),
});
export type Manifest = z.infer<typeof manifestSchema>;
export const manifestsSchema = z.object({ apps: z.array(manifestSchema) });

/** A named bundle of calls and grants that an app may ask for. */
export const serviceSchema = z.object({
  name: z.string(),
  description: z.string(),
  grants: z.array(z.string()),
});
export type Service = z.infer<typeof serviceSchema>;
export const servicesSchema = z.object({ services: z.array(serviceSchema) });

/** A manifest as a person writes it: all but title and ui_spec may be left out. */
export const manifestDraftSchema = z.strictObject({
  id: z
    .string()
    .regex(
      /^[a-z0-9][a-z0-9-]{0,63}$/,
      'an id has small letters, digits and dashes, at most 64, and begins with a letter or digit',
    ),
  title: z.string().trim().min(1, 'a title is needed').max(100, 'a title has at most 100 characters'),
  icon: z.string().max(64).optional(),
  description: z.string().max(2000).optional(),
  category: z.string().max(64).optional(),
  ui_spec: z.record(z.string(), jsonSchema, 'the app as data is wanted: an object'),
  services: z.array(z.string().min(1)).max(64).optional(),
  grants: z.array(z.string().min(1)).max(256).optional(),
  fullscreen: z.boolean().optional(),
  singleton: z.boolean().optional(),
  window: sizes.partial().optional(),
});
export type ManifestDraft = z.infer<typeof manifestDraftSchema>;
