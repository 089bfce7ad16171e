import { CallError } from './call-error';
import { ApiError } from './http';

const VERBS: Record<string, string> = {
  'fs.read': 'read',
  'fs.write': 'write',
  'fs.admin': 'mount or snapshot',
  'proc.spawn': 'start',
  'proc.signal': 'end or signal processes other than its own',
  'proc.inspect': 'see processes other than its own',
  'proc.control': 'steer processes other than its own',
  'ipc.create': 'make pipes and queues',
  'net.connect': 'reach',
  'net.bind': 'listen on',
  'net.resolve': 'look up',
  'sched.inspect': 'see what the scheduler does',
  'sched.control': 'steer the scheduler',
  'sys.info': 'see facts about the machine',
  'sys.admin': 'act on the whole system',
};

export interface Who {
  /** The app's title. */
  title: string;
  /** The grants it is known to hold. */
  grants?: readonly string[];
}

function splitGrant(grant: string): { right: string; target: string } {
  const colon = grant.indexOf(':');
  return colon < 0
    ? { right: grant, target: '' }
    : { right: grant.slice(0, colon), target: grant.slice(colon + 1) };
}

/** What was refused, what is held, and what would allow it, in one or two sentences. */
export function explainRefusal(right: string, who: Who): string {
  const { right: kind, target } = splitGrant(right);
  const verb = VERBS[kind] ?? `use ${kind}`;
  const what = target === '' || target === '*' ? verb : `${verb} \`${target}\``;
  const held = who.grants?.filter((grant) => splitGrant(grant).right === kind) ?? null;
  const quoted = (grants: readonly string[]): string => grants.map((grant) => `\`${grant}\``).join(', ');
  let holds = '';
  if (held !== null) {
    const asks = who.grants?.filter((grant) => splitGrant(grant.replace(/^ask:/, '')).right === kind) ?? [];
    holds =
      held.length > 0
        ? `: it holds ${quoted(held)}`
        : asks.length > 0
          ? `: it may only ask for it, by ${quoted(asks)}`
          : `: it holds no \`${kind}\``;
  }
  return `${who.title} may not ${what}${holds}. Grant \`${right}\` to allow it.`;
}

const PLAIN: Record<string, string> = {
  ENOENT: 'It isn’t there any more.',
  EEXIST: 'Something with that name is there already.',
  ENOTDIR: 'A name on the way is not a folder.',
  EISDIR: 'That is a folder, not a file.',
  ENOTEMPTY: 'The folder isn’t empty.',
  ENOSPC: 'There is no room left.',
  EROFS: 'This place can’t be written to.',
  ESRCH: 'That process has ended already.',
  EBUSY: 'It is in use.',
  EXDEV: 'It can’t be moved to another filesystem in one step.',
  ELOOP: 'Too many links on the way.',
};

/** The right that an answer over HTTP says is missing. */
function rightOf(detail: unknown): string | null {
  const right = (detail as { right?: unknown } | null)?.right;
  return typeof right === 'string' ? right : null;
}

/** Says to a person what went wrong, why, and what to do. */
export function explain(error: unknown, who?: Who): string {
  if (error instanceof CallError) {
    if (error.right !== null && who !== undefined) return explainRefusal(error.right, who);
    const parts = [error.message];
    if (error.limit !== null) {
      parts.push(`The limit \`${error.limit.name}\` is at ${error.limit.used} of ${error.limit.max}.`);
    }
    if (error.hint !== '') parts.push(error.hint);
    else if (PLAIN[error.name] !== undefined && error.message === '') parts.push(PLAIN[error.name] ?? '');
    return sentences(parts);
  }
  if (error instanceof ApiError) {
    const right = rightOf(error.detail);
    if (right !== null && who !== undefined) return explainRefusal(right, who);
    return sentences([error.message]);
  }
  if (error instanceof Error && error.message !== '') return sentences([error.message]);
  return 'Something went wrong that gives no reason.';
}

function sentences(parts: readonly string[]): string {
  return parts
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const first = part.charAt(0).toUpperCase() + part.slice(1);
      return /[.!?…]$/.test(first) ? first : `${first}.`;
    })
    .join(' ');
}
