import { zodResolver } from '@hookform/resolvers/zod';
import { type FieldValues, type UseFormProps, type UseFormReturn, useForm } from 'react-hook-form';
import type { z } from 'zod';

/** A form whose rules are one schema: what it submits is what the schema gives, not what was typed. */
export function useZodForm<Typed extends FieldValues, Parsed extends FieldValues>(
  schema: z.ZodType<Parsed, Typed>,
  options: Omit<UseFormProps<Typed, unknown, Parsed>, 'resolver'> = {},
): UseFormReturn<Typed, unknown, Parsed> {
  return useForm<Typed, unknown, Parsed>({
    mode: 'onTouched',
    ...options,
    resolver: zodResolver(schema),
  });
}
