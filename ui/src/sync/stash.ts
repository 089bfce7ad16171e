import { z } from 'zod';
import { type Json, jsonSchema } from '@/api/json';

/** What the server has not got yet, kept in the browser in case the tab is closed before it does. */
const KEY = 'uos.unsent';
const schema = z.record(z.string(), z.object({ state: jsonSchema, version: z.number().int() }));

export type Stash = Record<string, { state: Json; version: number }>;

export function writeStash(stash: Stash): void {
  try {
    if (Object.keys(stash).length === 0) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, JSON.stringify(stash));
  } catch {
    // Full or forbidden: then it is only in memory.
  }
}

/** Reads what was left by a tab that ended, and forgets it. */
export function takeStash(): Stash {
  try {
    const text = localStorage.getItem(KEY);
    if (text === null) return {};
    localStorage.removeItem(KEY);
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : {};
  } catch {
    return {};
  }
}
