import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import type { RightRequest } from '@/api/asked';
import { CallSchema } from '@/api/gen/uos/v1/calls_pb';
import { Kernel } from '@/api/gen/uos/v1/kernel_pb';
import type { Json } from '@/api/json';
import { formatAmount } from '@/format';
import { visible } from './words';

/** One argument of a call, for people. */
export interface Argument {
  name: string;
  /** Said beside the name, such as the length of a payload. */
  note: string | null;
  text: string;
}

/** The argument message of a call by its name; null for one that this desktop doesn’t know. */
function messageOf(call: string): DescMessage | null {
  const field = CallSchema.fields.find((one) => one.message?.name === call);
  const rpc = Kernel.methods.find((one) => one.name === call);
  return field?.message ?? rpc?.input ?? null;
}

/** What a payload holds: its text if it is one. Longer ones come as a part, which ends in `…`. */
export function sayBytes(base64: string): { note: string; text: string } {
  const part = base64.endsWith('…');
  let bytes: Uint8Array;
  try {
    const whole = part ? base64.slice(0, base64.length - 1 - ((base64.length - 1) % 4)) : base64;
    bytes = Uint8Array.from(atob(whole), (one) => one.charCodeAt(0));
  } catch {
    return { note: 'base64', text: visible(base64) };
  }
  const amount = `${part ? 'the first ' : ''}${formatAmount(bytes.length, 'byte')}`;
  try {
    // A part may end in the midst of a character.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: part });
    if (!/[^\P{Cc}\n\t\r]/u.test(text)) return { note: amount, text: spelled(text) + (part ? '…' : '') };
  } catch {
    // No text.
  }
  return { note: `${amount}, in base64`, text: base64 };
}

const spelled = (text: string): string => visible(text, '\n\t');

function isBytes(field: DescField | undefined): boolean {
  return field?.fieldKind === 'scalar' && field.scalar === ScalarType.BYTES;
}

/** Each argument of a call as it was sent, payloads read where they are text. */
export function spell({ call, arguments: given }: Pick<RightRequest, 'call' | 'arguments'>): Argument[] {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return [];
  const fields = messageOf(call)?.fields ?? [];
  // As the contract has them; what it doesn’t know comes last.
  const at = (key: string): number => fields.findIndex((field) => field.name === key) >>> 0;
  const ordered = Object.entries(given).toSorted(([one], [other]) => at(one) - at(other));
  return ordered.map(([key, value]: [string, Json]) => {
    const name = visible(key);
    if (typeof value !== 'string')
      return { name, note: null, text: visible(JSON.stringify(value, null, 2), '\n') };
    if (isBytes(fields.find((field) => field.name === key))) return { name, ...sayBytes(value) };
    return { name, note: null, text: spelled(value) };
  });
}
