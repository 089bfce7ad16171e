import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { z } from 'zod';
import { CallSchema } from '@/api/gen/uos/v1/calls_pb';
import { type Json, jsonSchema } from '@/api/json';
import type { CallArgs, Caller, CallName } from '@/api/kernel';
import { fillValue, type Scope, withValue } from './path';
import { problemOf } from './spec';

/** How much one press of a button may do. */
const MOST_STEPS = 200;
const MOST_ITEMS = 10_000;
const MOST_STATE = 250 * 1024;

const setStep = z.strictObject({ set: z.string(), to: jsonSchema });
const appendStep = z.strictObject({ append: z.string(), value: jsonSchema });
const removeStep = z.strictObject({ remove: z.string(), at: z.union([z.string(), z.number()]) });
const callStep = z.strictObject({
  call: z.string().min(1).max(100),
  args: z.record(z.string(), jsonSchema).optional(),
  // biome-ignore lint/suspicious/noThenProperty: the format’s own word; a list, never a function
  then: z.array(z.union([setStep, appendStep, removeStep])).optional(),
});
const stepSchema = z.union([callStep, setStep, appendStep, removeStep]);
type Step = z.infer<typeof stepSchema>;
type Change = Exclude<Step, z.infer<typeof callStep>>;

export class ActionError extends Error {}

function parseSteps(action: unknown, name: string): Step[] {
  const list = Array.isArray(action) ? action : [action];
  if (list.length > MOST_STEPS)
    throw new ActionError(`The action \`${name}\` has more than ${MOST_STEPS} steps.`);
  return list.map((step: unknown, at) => {
    // The kind decides which complaint is worth reading.
    const has = (key: string): boolean =>
      typeof step === 'object' && step !== null && Object.hasOwn(step, key);
    const schema = has('call')
      ? callStep
      : has('set')
        ? setStep
        : has('append')
          ? appendStep
          : has('remove')
            ? removeStep
            : null;
    const place = Array.isArray(action) ? `actions.${name}[${at}]` : `actions.${name}`;
    if (schema === null) {
      throw new ActionError(`\`${place}\` must be a \`call\`, \`set\`, \`append\` or \`remove\`.`);
    }
    const parsed = schema.safeParse(step);
    if (!parsed.success) throw new ActionError(`\`${place}\`: ${problemOf(parsed.error)}.`);
    return parsed.data;
  });
}

const calls = CallSchema.oneofs[0]?.fields ?? [];

/** The arguments of a call as its message, from names as the .proto has them; text stands for bytes. */
function argsOf(name: string, args: Record<string, Json>): { call: CallName; value: object } {
  const field = calls.find((each) => each.message?.name === name);
  if (field?.message === undefined) throw new ActionError(`There is no call \`${name.slice(0, 80)}\`.`);
  const { message } = field;
  const json: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(args)) {
    const argument = message.fields.find((each) => each.name === key || each.jsonName === key);
    if (argument === undefined) {
      const known = message.fields.map((each) => `\`${each.name}\``).join(', ');
      throw new ActionError(
        `\`${name}\` has no argument \`${key.slice(0, 80)}\`; it has ${known || 'none'}.`,
      );
    }
    // Kinds and codes of the descriptor: 12 is bytes.
    const isBytes = argument.fieldKind === 'scalar' && argument.scalar === 12;
    if (value === null) continue;
    if (isBytes) {
      const bytes = new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
      let binary = '';
      for (const byte of bytes) binary += String.fromCharCode(byte);
      json[argument.jsonName] = btoa(binary);
    } else json[argument.jsonName] = value as JsonValue;
  }
  try {
    return { call: field.localName as CallName, value: fromJson(message, json) };
  } catch (error) {
    throw new ActionError(`The arguments of \`${name}\` don’t fit: ${(error as Error).message}.`);
  }
}

/** An answer as data: names as the .proto has them, bytes as text, large numbers as text. */
export function replyJson(value: unknown, depth = 0): Json {
  if (depth > 16) return null;
  if (value === null || value === undefined) return null;
  if (typeof value === 'bigint')
    return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (Array.isArray(value)) return value.slice(0, MOST_ITEMS).map((each) => replyJson(each, depth + 1));
  if (typeof value === 'object') {
    const made: { [key: string]: Json } = {};
    for (const [key, each] of Object.entries(value)) {
      if (key.startsWith('$')) continue;
      made[key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)] = replyJson(each, depth + 1);
    }
    return made;
  }
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null;
}

/** The state after one change to it. */
export function changed(state: Json, step: Change, scope: Scope): Json {
  if ('set' in step) return withValue(state, step.set, () => fillValue(step.to, scope));
  const path = 'append' in step ? step.append : step.remove;
  return withValue(state, path, (old) => {
    const list = old ?? [];
    if (!Array.isArray(list)) throw new ActionError(`\`${path}\` is not a list.`);
    if ('append' in step) {
      if (list.length >= MOST_ITEMS)
        throw new ActionError(`\`${path}\` is full: a list holds ${MOST_ITEMS} items.`);
      return [...list, fillValue(step.value, scope)];
    }
    const at = Number(fillValue(step.at, scope));
    if (!Number.isInteger(at) || at < 0 || at >= list.length) {
      throw new ActionError(`\`${path}\` has no item ${String(step.at).slice(0, 40)}.`);
    }
    return list.filter((_, index) => index !== at);
  });
}

export interface Surroundings {
  call: Caller;
  read: () => Json;
  write: (state: Json) => void;
}

/** Does what an action says, step by step; throws what went wrong, with what was done before it done. */
export async function runAction(
  actions: Record<string, unknown>,
  name: string,
  scope: Scope,
  around: Surroundings,
): Promise<void> {
  if (!Object.hasOwn(actions, name)) throw new ActionError(`There is no action \`${name}\`.`);
  const change = (step: Change, reply?: Json): void => {
    const state = around.read();
    const now: Scope = { ...scope, state, ...(reply === undefined ? {} : { reply }) };
    let next: Json;
    try {
      next = changed(state, step, now);
    } catch (error) {
      if (error instanceof ActionError) throw error;
      throw new ActionError(`The state can’t be changed: ${(error as Error).message}.`);
    }
    if (JSON.stringify(next).length > MOST_STATE) {
      throw new ActionError('The app’s state would grow past 250 KiB; it stays as it was.');
    }
    around.write(next);
  };
  for (const step of parseSteps(actions[name], name)) {
    if (!('call' in step)) {
      change(step);
      continue;
    }
    const filled = fillValue(step.args ?? {}, { ...scope, state: around.read() });
    const { call, value } = argsOf(step.call, filled as Record<string, Json>);
    const reply = replyJson(await around.call(call, value as CallArgs<typeof call>));
    for (const next of step.then ?? []) change(next, reply);
  }
}
