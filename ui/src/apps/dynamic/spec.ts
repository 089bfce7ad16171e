import { z } from 'zod';
import { type Json, jsonSchema } from '@/api/json';
import { fill, lookUp, parsePath, type Scope, textOf } from './path';

/** How much of a spec is drawn: enough for any app, too little to hang a page. */
export const LIMITS = { depth: 32, parts: 4_000, items: 500 } as const;

const label = z.string().max(2_000);
const statePath = z
  .string()
  .refine(
    (path) => path.startsWith('state.') && parsePath(path) !== null,
    'a place in the state, such as `state.name`',
  );
const listPath = z
  .string()
  .refine((path) => parsePath(path) !== null, 'a path, such as `state.list` or `item.parts`');
const actionName = z.string().min(1).max(100);

const input = z.strictObject({
  type: z.literal('input').optional(),
  bind: statePath,
  label,
  placeholder: label.optional(),
  multiline: z.boolean().optional(),
  kind: z.enum(['text', 'number', 'date']).optional(),
});

// One level each: what is inside is judged for itself, so that one bad part spoils no other.
const nodes = {
  text: z.strictObject({
    type: z.literal('text'),
    text: z.string(),
    style: z.enum(['title', 'body', 'muted', 'code']).optional(),
  }),
  input: input.extend({ type: z.literal('input') }),
  button: z.strictObject({
    type: z.literal('button'),
    label,
    action: actionName,
    style: z.enum(['primary', 'plain', 'danger']).optional(),
  }),
  list: z.strictObject({
    type: z.literal('list'),
    items: listPath,
    empty: label.optional(),
    item: z.unknown(),
  }),
  form: z.strictObject({
    type: z.literal('form'),
    fields: z.array(z.unknown()),
    submit: z.strictObject({ label, action: actionName }),
  }),
  row: z.strictObject({ type: z.literal('row'), children: z.array(z.unknown()) }),
  column: z.strictObject({ type: z.literal('column'), children: z.array(z.unknown()) }),
} as const;
type NodeType = keyof typeof nodes;

const record = z.record(z.string(), z.unknown());

/** An app as data. Its view is judged part by part while it is drawn. */
export const specSchema = z.strictObject({
  version: z.literal(1, 'this desktop knows version 1'),
  state: z.record(z.string(), jsonSchema).optional(),
  view: z.unknown(),
  actions: record.optional(),
});
export type Spec = z.infer<typeof specSchema>;

export interface Place {
  /** Where in the spec, as in `view.children[2]`. */
  at: string;
  /** Tells parts apart while they are on the screen. */
  key: string;
}

export type Part = Place &
  (
    | { is: 'text'; text: string; style: 'title' | 'body' | 'muted' | 'code' }
    | {
        is: 'input';
        bind: string;
        label: string;
        placeholder: string;
        multiline: boolean;
        kind: 'text' | 'number' | 'date';
        value: string;
      }
    | { is: 'button'; label: string; action: string; style: 'primary' | 'plain' | 'danger'; scope: Scope }
    | { is: 'list'; parts: Part[]; empty: string }
    | { is: 'form'; fields: Part[]; submit: { label: string; action: string }; scope: Scope }
    | { is: 'row' | 'column'; parts: Part[] }
    | { is: 'error'; message: string }
  );

/** The first thing that is wrong, in words, with its place inside the part. */
export function problemOf(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'it is not what it should be';
  const place = issue.path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('');
  return place === '' ? issue.message : `\`${place.replace(/^\./, '')}\`: ${issue.message}`;
}

const shown = (value: unknown): string => {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing');
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
};

/** Makes of a view and a state what is to be on the screen. Never throws, always ends. */
export function resolveView(view: unknown, state: Json): Part {
  let budget: number = LIMITS.parts;

  const bad = (place: Place, message: string): Part => ({ ...place, is: 'error', message });

  const all = (list: readonly unknown[], place: Place, name: string, scope: Scope, depth: number): Part[] => {
    const parts: Part[] = [];
    for (const [index, node] of list.entries()) {
      const inner = { at: `${place.at}.${name}[${index}]`, key: `${place.key}/${index}` };
      if (budget <= 0) {
        parts.push(bad(inner, `an app may show ${LIMITS.parts} parts; the rest is left out`));
        break;
      }
      parts.push(one(node, inner, scope, depth));
    }
    return parts;
  };

  const one = (node: unknown, place: Place, scope: Scope, depth: number): Part => {
    budget -= 1;
    if (depth > LIMITS.depth) return bad(place, `parts may be nested ${LIMITS.depth} levels deep`);
    if (node === null || typeof node !== 'object' || Array.isArray(node)) {
      return bad(place, `a part is an object with a \`type\`, not ${shown(node)}`);
    }
    const type: unknown = Object.hasOwn(node, 'type') ? (node as { type: unknown }).type : undefined;
    if (typeof type !== 'string' || !Object.hasOwn(nodes, type)) {
      return bad(
        place,
        `there is no part of type \`${shown(type)}\`; there are ${Object.keys(nodes).join(', ')}`,
      );
    }
    switch (type as NodeType) {
      case 'text': {
        const parsed = nodes.text.safeParse(node);
        if (!parsed.success) return bad(place, problemOf(parsed.error));
        const { text, style } = parsed.data;
        return { ...place, is: 'text', text: fill(text, scope), style: style ?? 'body' };
      }
      case 'input': {
        const parsed = nodes.input.safeParse(node);
        return parsed.success ? field(parsed.data, place, scope) : bad(place, problemOf(parsed.error));
      }
      case 'button': {
        const parsed = nodes.button.safeParse(node);
        if (!parsed.success) return bad(place, problemOf(parsed.error));
        const { label: words, action, style } = parsed.data;
        return { ...place, is: 'button', label: fill(words, scope), action, style: style ?? 'plain', scope };
      }
      case 'list': {
        const parsed = nodes.list.safeParse(node);
        if (!parsed.success) return bad(place, problemOf(parsed.error));
        const { items, item, empty } = parsed.data;
        const list = lookUp(items, scope);
        if (list !== undefined && list !== null && !Array.isArray(list)) {
          return bad(place, `\`${items}\` is not a list`);
        }
        const parts: Part[] = [];
        for (const [index, value] of (list ?? []).entries()) {
          const inner = { at: `${place.at}.item`, key: `${place.key}/${index}` };
          if (index >= LIMITS.items || budget <= 0) {
            const left = (list ?? []).length - index;
            parts.push(
              bad(
                inner,
                `a list shows ${LIMITS.items} items, an app ${LIMITS.parts} parts; ${left} are left out`,
              ),
            );
            break;
          }
          parts.push(one(item, inner, { state: scope.state, item: value, index }, depth + 1));
        }
        return { ...place, is: 'list', parts, empty: fill(empty ?? 'Nothing here.', scope) };
      }
      case 'form': {
        const parsed = nodes.form.safeParse(node);
        if (!parsed.success) return bad(place, problemOf(parsed.error));
        const fields = parsed.data.fields.slice(0, 200).map((each, index): Part => {
          budget -= 1;
          const inner = { at: `${place.at}.fields[${index}]`, key: `${place.key}/${index}` };
          const read = input.safeParse(each);
          return read.success ? field(read.data, inner, scope) : bad(inner, problemOf(read.error));
        });
        const { submit } = parsed.data;
        return {
          ...place,
          is: 'form',
          fields,
          submit: { ...submit, label: fill(submit.label, scope) },
          scope,
        };
      }
      case 'row':
      case 'column': {
        const is = type as 'row' | 'column';
        const parsed = nodes[is].safeParse(node);
        if (!parsed.success) return bad(place, problemOf(parsed.error));
        return { ...place, is, parts: all(parsed.data.children, place, 'children', scope, depth + 1) };
      }
    }
  };

  const field = (from: z.infer<typeof input>, place: Place, scope: Scope): Part => ({
    ...place,
    is: 'input',
    bind: from.bind,
    label: fill(from.label, scope),
    placeholder: from.placeholder ?? '',
    multiline: from.multiline ?? false,
    kind: from.kind ?? 'text',
    value: textOf(lookUp(from.bind, scope)),
  });

  return one(view, { at: 'view', key: 'view' }, { state }, 0);
}
