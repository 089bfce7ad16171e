import type { RightRequest } from '@/api/asked';
import { explain } from '@/api/explain';
import { ApiError } from '@/api/http';
import { sayRight } from '@/apps/rights';
import { useDesktopStore } from '@/sync/desktop';
import type { Asked } from './store';

/** What can't be seen, or changes how the text around it is read. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

/** Text as it is: with a name for every character that would hide in it, or turn it around. */
export function visible(text: string, but = ''): string {
  return text.replace(UNSEEN, (found) =>
    but.includes(found) ? found : `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** Leaves out the middle of what is too long: both ends of a path say what it is. */
export function shorten(text: string, most: number): string {
  const all = [...text];
  if (all.length <= most) return text;
  const end = Math.floor((most - 1) / 2);
  return `${all.slice(0, most - 1 - end).join('')}…${all.slice(-end).join('')}`;
}

export interface Asker {
  name: string;
  /** Set if it is the process of an app. */
  icon: string | null;
}

/** An app is called by its title. Anything else by what it calls itself. */
export function askerOf(
  request: Pick<RightRequest, 'pid' | 'name'>,
  apps = useDesktopStore.getState().apps,
): Asker {
  const app = Object.values(apps).find(({ pid }) => pid === request.pid);
  const name = shorten(visible(app?.title ?? request.name), 60);
  return { name: name.trim() === '' ? 'A process without a name' : name, icon: app?.icon ?? null };
}

/** "create, change and delete /home/x" */
export function sayWanted(request: Pick<RightRequest, 'right'>): string {
  return shorten(visible(sayRight(request.right)), 240);
}

/** "Notes asks to create, change and delete /home/x" */
export function sayAsked(request: RightRequest): string {
  return `${askerOf(request).name} (process ${request.pid}) asks to ${sayWanted(request)}`;
}

/** Why an answer was not taken, and what to do. */
export function sayFailure(error: unknown): string {
  if (error instanceof ApiError && error.status === 403) {
    const { right, hint } = (error.detail ?? {}) as { right?: unknown; hint?: unknown };
    if (typeof right === 'string') return `You can’t give \`${visible(right)}\`: you don’t hold it yourself.`;
    // For people, without the number that it has for programs.
    const parts = [error.message.replace(/^E[A-Z0-9]+: /, ''), typeof hint === 'string' ? hint : ''];
    return explain(new Error(parts.filter((part) => part !== '').join('; ')));
  }
  return explain(error);
}

const OVER: Readonly<Record<Exclude<Asked['over'], null>, string>> = {
  once: 'It was allowed once elsewhere before you answered.',
  always: 'It was allowed always elsewhere before you answered.',
  denied: 'It was denied elsewhere before you answered.',
  timed_out: 'The time to answer was over: the call was refused.',
  given_up: 'The call was given up before you answered.',
  unknown: 'It no longer waits: it was answered elsewhere, given up, or the time was over.',
};

/** Why there is nothing to answer any more. */
export function sayOver(over: Exclude<Asked['over'], null>): string {
  return OVER[over];
}
