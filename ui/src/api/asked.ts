import { z } from 'zod';
import { jsonSchema } from './json';

/** A call that waits for a right which a person may give or deny it. */
export const rightRequestSchema = z.object({
  id: z.number().int(),
  pid: z.number().int(),
  /** The name of the process that makes the call. */
  name: z.string(),
  /** Such as `WriteFile`. */
  call: z.string(),
  /** What it lacks, as a grant: `fs.write:/home/x`. */
  right: z.string(),
  /** The call’s arguments, in the JSON of protobuf. */
  arguments: jsonSchema,
  /** Some of the arguments are longer than is shown, and end in `…`. */
  abridged: z.boolean(),
});
export type RightRequest = z.infer<typeof rightRequestSchema>;
export const rightRequestsSchema = z.object({ requests: z.array(rightRequestSchema) });

/** once: that call may, and no other; always: the process may from now on; deny: the call is refused. */
export type RightAnswer = 'once' | 'always' | 'deny';

/** What became of a request. */
export const rightOutcomeSchema = z.enum(['once', 'always', 'denied', 'timed_out', 'given_up']);
export type RightOutcome = z.infer<typeof rightOutcomeSchema>;
