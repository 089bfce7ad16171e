import { z } from 'zod';
import { FileKind } from '@/api/gen/uos/v1/files_pb';
import type { Json } from '@/api/json';
import { fromBase64, type Name, type Path, pathOf, toBase64 } from './path';

export interface Entry extends Name {
  /** Tells entries of a folder apart, even two whose texts look alike. */
  readonly key: string;
  readonly kind: FileKind;
  /** Unset where it could not be found out. */
  readonly size: bigint | null;
  readonly modified: bigint | null;
}

export function keyOf(name: Name): string {
  return name.raw === null ? `=${name.text}` : `~${toBase64(name.raw)}`;
}

export const HOME = '/home/files';
/** Where removed things wait. On the same filesystem as HOME, so that moving there is one step. */
export const BIN = `${HOME}/.trash`;

export const PLACES = [
  { path: HOME, name: 'Files', note: 'kept on disk' },
  { path: '/home', name: 'Home', note: '' },
  { path: '/tmp', name: 'Temporary', note: 'gone after a restart' },
  { path: '/', name: 'Everything', note: '' },
  { path: BIN, name: 'Bin', note: '' },
] as const;

export const COLUMNS = ['name', 'size', 'modified'] as const;
export type Column = (typeof COLUMNS)[number];

const savedSchema = z.object({
  path: z.string().startsWith('/').catch(HOME),
  raw: z.string().nullish().catch(null),
  sort: z.enum(COLUMNS).catch('name'),
  descending: z.boolean().catch(false),
  show: z.string().nullish().catch(null),
});

/** What comes back after a restart. */
export interface Saved {
  path: Path;
  sort: Column;
  descending: boolean;
  /** An entry that is to be selected once it is there, and then forgotten. */
  show?: string;
}

export function readSaved(state: Json): Saved {
  const parsed = savedSchema.safeParse(state);
  if (!parsed.success) return { path: pathOf(HOME), sort: 'name', descending: false };
  const { path, raw, sort, descending, show } = parsed.data;
  const bytes = raw === null || raw === undefined ? null : fromBase64(raw);
  return {
    path: bytes === null ? pathOf(path) : { text: path, raw: bytes },
    sort,
    descending,
    ...(show ? { show } : {}),
  };
}

export function writeSaved({ path, sort, descending }: Saved): Json {
  return { path: path.text, raw: path.raw === null ? null : toBase64(path.raw), sort, descending };
}

export function isFolder(entry: Pick<Entry, 'kind'>): boolean {
  return entry.kind === FileKind.DIRECTORY;
}

const byName = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

function compare(one: bigint | null, other: bigint | null): number {
  if (one === other) return 0;
  if (one === null) return -1;
  if (other === null) return 1;
  return one < other ? -1 : 1;
}

/** Folders first whatever the order, then by the column; equal ones by name. */
export function sortEntries(entries: readonly Entry[], sort: Column, descending: boolean): Entry[] {
  const sign = descending ? -1 : 1;
  return [...entries].sort((one, other) => {
    if (isFolder(one) !== isFolder(other)) return isFolder(one) ? -1 : 1;
    const names = byName.compare(one.text, other.text) || (one.key < other.key ? -1 : 1);
    if (sort === 'name') return names * sign;
    const by = sort === 'size' ? compare(one.size, other.size) : compare(one.modified, other.modified);
    return by === 0 ? names : by * sign;
  });
}
