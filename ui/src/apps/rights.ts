/** What a grant allows, in plain words. */

/** `fs.read:/home/**` in its two parts; a grant without a pattern has no bounds. */
function parts(grant: string): { right: string; pattern: string } {
  const colon = grant.indexOf(':');
  return colon < 0
    ? { right: grant, pattern: '' }
    : { right: grant.slice(0, colon), pattern: grant.slice(colon + 1) };
}

/** Rights on things that have no path, said whole. */
const PLAIN: Readonly<Record<string, string>> = {
  'proc.inspect': 'see every process',
  'proc.signal': 'end and signal every process',
  'proc.control': 'pause and steer every process',
  'ipc.create': 'make pipes, queues and shared memory',
  'sched.inspect': 'see what the scheduler does',
  'sched.control': 'steer the scheduler',
  'sys.info': 'learn about the machine',
  'sys.admin': 'act on the whole system',
  'fs.admin': 'mount filesystems and take snapshots',
};

const VERBS: Readonly<Record<string, string>> = {
  'fs.read': 'read',
  'fs.write': 'create, change and delete',
  'proc.spawn': 'start',
  'proc.signal': 'end and signal',
  'proc.inspect': 'see',
  'proc.control': 'pause and steer',
  'net.connect': 'connect to',
  'net.bind': 'listen on',
  'net.resolve': 'look up',
};

/** What lies under a pattern: everything, one folder, or one thing. */
function reach(right: string, pattern: string): string {
  const files = right.startsWith('fs.');
  if (pattern === '' || pattern === '*' || pattern === '**' || pattern === '/**') {
    if (files) return 'every file';
    if (right === 'proc.spawn') return 'every program';
    return right.startsWith('net.') ? 'any address' : 'everything';
  }
  const under = /^(.*)\/\*\*?$/.exec(pattern)?.[1];
  if (under !== undefined && files) return `what is in ${under === '' ? '/' : under}`;
  return pattern;
}

/** What a right lets its holder do, as it goes on after "may": "read what is in /home". */
export function sayRight(grant: string): string {
  const { right, pattern } = parts(grant);
  const plain = pattern === '' || pattern === '*' || pattern === '**' ? PLAIN[right] : undefined;
  const verb = VERBS[right];
  return plain ?? (verb === undefined ? `use ${grant}` : `${verb} ${reach(right, pattern)}`);
}

/** A grant that gives nothing but leave to ask for what stands after this. */
const ASK = 'ask:';

/** Whether it only lets its holder ask: each use then waits until somebody allows it. */
export function asks(grant: string): boolean {
  return grant.startsWith(ASK);
}

/** Begins with a capital: "Read what is in /home", or "May ask to read what is in /home". */
export function sayGrant(grant: string): string {
  const words = asks(grant) ? `may ask to ${sayRight(grant.slice(ASK.length))}` : sayRight(grant);
  return words.charAt(0).toUpperCase() + words.slice(1);
}
