import { z } from 'zod';
import { runningAppSchema } from './app';
import { microsSchema } from './json';

/** A saved desktop. `current` and `previous` are kept by the system itself. */
export const sessionSchema = z.object({
  id: z.string().min(1),
  name: z.string(),
  apps: z.number().int(),
  created_us: microsSchema,
  updated_us: microsSchema,
  automatic: z.boolean(),
});
export type Session = z.infer<typeof sessionSchema>;
export const sessionsSchema = z.object({ sessions: z.array(sessionSchema) });

export const restoredSchema = z.object({
  apps: z.array(runningAppSchema),
  failed: z.array(z.object({ id: z.string(), title: z.string(), message: z.string() })),
});
export type Restored = z.infer<typeof restoredSchema>;

/** A name a person may give a session, as the server judges it. */
export const sessionNameSchema = z
  .string()
  .trim()
  .min(1, 'Give the session a name.')
  .refine((name) => [...name].length <= 100, 'A name has at most 100 characters.')
  .refine((name) => !/\p{Cc}/u.test(name), 'A name has no control characters.');
