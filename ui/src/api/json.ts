import { z } from 'zod';

/** Anything JSON can say. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export const jsonSchema: z.ZodType<Json> = z.json() as z.ZodType<Json>;

/** Microseconds since 1970, or a span of them: fits a double until the year 2255. */
export const microsSchema = z.number().finite();
