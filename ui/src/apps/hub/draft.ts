import { type ManifestDraft, manifestDraftSchema } from '@/api/manifest';

export interface Problem {
  /** Where in the text: `window.width`, or empty for the whole. */
  place: string;
  message: string;
  /** The line it stands on, from 1, where that can be told. */
  line: number | null;
}

export type Draft = { ok: true; draft: ManifestDraft } | { ok: false; problems: Problem[] };

/** The line of a key in JSON text: the first place where it is written as one. */
function lineOf(text: string, path: readonly PropertyKey[]): number | null {
  let from = 0;
  let found = -1;
  for (const part of path) {
    if (typeof part !== 'string') continue;
    const at = text.indexOf(JSON.stringify(part), from);
    if (at < 0) break;
    found = at;
    from = at + 1;
  }
  return found < 0 ? null : text.slice(0, found).split('\n').length;
}

/** Reads a manifest as a person has written or pasted it, and says all that is wrong with it. */
export function readDraft(text: string): Draft {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : 'it can’t be read';
    const offset = /position (\d+)/.exec(message)?.[1];
    const line = offset === undefined ? null : text.slice(0, Number(offset)).split('\n').length;
    return { ok: false, problems: [{ place: '', message: `This is not JSON: ${message}.`, line }] };
  }
  const parsed = manifestDraftSchema.safeParse(json);
  if (parsed.success) return { ok: true, draft: parsed.data };
  return {
    ok: false,
    problems: parsed.error.issues.flatMap((issue): Problem[] => {
      if (issue.code === 'unrecognized_keys') {
        return issue.keys.map((key) => ({
          place: [...issue.path, key].join('.'),
          message: 'A manifest has no such field.',
          line: lineOf(text, [...issue.path, key]),
        }));
      }
      const missing = issue.code === 'invalid_type' && issue.message.endsWith('received undefined');
      const said = missing ? 'It is missing' : issue.message;
      const message = said.charAt(0).toUpperCase() + said.slice(1);
      return [{ place: issue.path.join('.'), message: `${message}.`, line: lineOf(text, issue.path) }];
    }),
  };
}

export const EXAMPLE = `{
  "id": "counter",
  "title": "Counter",
  "icon": "timer",
  "description": "Counts what you press.",
  "ui_spec": {
    "version": 1,
    "state": { "presses": [] },
    "view": {
      "type": "column",
      "children": [
        { "type": "text", "style": "title", "text": "{state.presses.length} presses" },
        { "type": "button", "label": "Press", "action": "press", "style": "primary" }
      ]
    },
    "actions": { "press": { "append": "state.presses", "value": 1 } }
  }
}
`;
