import type { Json } from '@/api/json';

/**
 * Paths and templates of apps that are data: names and dots, nothing else. Only what a value owns itself can be
 * reached, never what it inherits, and nothing is ever run.
 */

/** What a template may speak of. */
export interface Scope {
  state: Json;
  item?: Json;
  index?: number;
  reply?: Json;
}

const ROOTS = ['state', 'item', 'index', 'reply'] as const;
const SEGMENT = /^[A-Za-z0-9_-]{1,64}$/;
const FORBIDDEN: ReadonlySet<string> = new Set(['__proto__', 'prototype', 'constructor']);
const MOST_SEGMENTS = 16;
export const MOST_TEXT = 100_000;

/** A path in parts; null if it isn’t one. */
export function parsePath(path: string): string[] | null {
  const parts = path.split('.', MOST_SEGMENTS + 1);
  if (parts.length > MOST_SEGMENTS || !ROOTS.some((root) => root === parts[0])) return null;
  return parts.every((part) => SEGMENT.test(part) && !FORBIDDEN.has(part)) ? parts : null;
}

function own(value: Json | undefined, name: string): Json | undefined {
  if (value === null || typeof value !== 'object') return undefined;
  if (Array.isArray(value)) {
    if (name === 'length') return value.length;
    return /^\d{1,6}$/.test(name) ? value[Number(name)] : undefined;
  }
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

/** What a path leads to; undefined where there is nothing. */
export function lookUp(path: string, scope: Scope): Json | undefined {
  const parts = parsePath(path);
  if (parts === null) return undefined;
  const [root = '', ...rest] = parts;
  let value: Json | undefined = Object.hasOwn(scope, root) ? scope[root as keyof Scope] : undefined;
  for (const part of rest) value = own(value, part);
  return value;
}

/** Any value as text, for people. */
export function textOf(value: Json | undefined): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  if (typeof value === 'object') return JSON.stringify(value);
  return String(value);
}

const PLACE = /\{([A-Za-z0-9_.-]{1,512})\}/g;

/** Fills in a template. What in braces is no path stays as it is written. */
export function fill(template: string, scope: Scope): string {
  const text = template
    .slice(0, MOST_TEXT)
    .replace(PLACE, (whole, path: string) =>
      parsePath(path) === null ? whole : textOf(lookUp(path, scope)).slice(0, MOST_TEXT),
    );
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text;
}

/** Fills in every template of a value. A template that is one place alone gives the value itself, not its text. */
export function fillValue(value: Json, scope: Scope, depth = 0): Json {
  if (depth > 32) throw new Error('it is nested deeper than 32 levels');
  if (typeof value === 'string') {
    const alone = /^\{([A-Za-z0-9_.-]{1,512})\}$/.exec(value)?.[1];
    if (alone !== undefined && parsePath(alone) !== null) return lookUp(alone, scope) ?? null;
    return fill(value, scope);
  }
  if (Array.isArray(value)) return value.map((each) => fillValue(each, scope, depth + 1));
  if (value !== null && typeof value === 'object') {
    const filled: { [key: string]: Json } = {};
    for (const [key, each] of Object.entries(value)) {
      if (FORBIDDEN.has(key)) throw new Error(`a key can’t be called \`${key}\``);
      filled[key] = fillValue(each, scope, depth + 1);
    }
    return filled;
  }
  return value;
}

/** The state with one place changed, everything else the same. Throws what is wrong with the place. */
export function withValue(state: Json, path: string, change: (old: Json | undefined) => Json): Json {
  const parts = parsePath(path);
  if (parts === null || parts[0] !== 'state' || parts.length < 2) {
    throw new Error(`\`${path.slice(0, 80)}\` is no place in the state; it looks like \`state.name\``);
  }
  const into = (value: Json | undefined, [part, ...rest]: string[]): Json => {
    if (part === undefined) return change(value);
    if (Array.isArray(value)) {
      const at = Number(part);
      if (!/^\d{1,6}$/.test(part) || at >= value.length) throw new Error(`the list has no place \`${part}\``);
      return value.map((each, index) => (index === at ? into(each, rest) : each));
    }
    if (value !== undefined && value !== null && typeof value !== 'object') {
      throw new Error(
        `\`${part}\` can’t be put into ${typeof value === 'string' ? 'a text' : `a ${typeof value}`}`,
      );
    }
    return { ...value, [part]: into(own(value, part), rest) };
  };
  return into(state, parts.slice(1));
}
