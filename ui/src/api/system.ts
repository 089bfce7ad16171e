import { z } from 'zod';
import { microsSchema } from './json';

export const systemSchema = z.object({
  version: z.string(),
  epoch: z.union([z.string(), z.number()]),
  data_dir_name: z.string(),
  uptime_us: microsSchema,
});
export type System = z.infer<typeof systemSchema>;

export const bytesWrittenSchema = z.object({ bytes_written: z.number() });
