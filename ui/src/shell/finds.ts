import { useEffect, useState } from 'react';

export interface FoundProcess {
  pid: number;
  name: string;
}

export interface FoundFile {
  /** The folder it is in. */
  folder: string;
  name: string;
  directory: boolean;
}

export const pathOfFound = ({ folder, name }: FoundFile): string =>
  folder === '/' ? `/${name}` : `${folder}/${name}`;

interface Finds {
  processes: readonly FoundProcess[];
  files: readonly FoundFile[];
}

/** What can be found beside apps, windows and commands, as it is when the launcher opens; null until it has come. */
export function useFinds(): Finds | null {
  const [finds, setFinds] = useState<Finds | null>(null);
  useEffect(() => {
    const control = new AbortController();
    const { signal } = control;
    // Not with the first load.
    void import('./lookup')
      .then(({ listProcesses, walkFiles }) => Promise.all([listProcesses(signal), walkFiles(signal)]))
      .catch((): [FoundProcess[], FoundFile[]] => [[], []])
      .then(([processes, files]) => !signal.aborted && setFinds({ processes, files }));
    return () => control.abort();
  }, []);
  return finds;
}

/** `/home/fi` is what begins with “fi” in the folder `/home`; null for what is no path. */
export function typedPath(words: string): { folder: string; start: string } | null {
  if (!words.startsWith('/')) return null;
  const cut = words.lastIndexOf('/');
  return { folder: words.slice(0, cut) || '/', start: words.slice(cut + 1) };
}

/** The names that continue a path that is being typed; null until its folder has been read. */
export function useTypedPath(words: string): readonly FoundFile[] | null {
  const typed = typedPath(words);
  const folder = typed?.folder ?? null;
  const [found, setFound] = useState<{ folder: string; files: readonly FoundFile[] } | null>(null);
  useEffect(() => {
    if (folder === null) return;
    const control = new AbortController();
    void import('./lookup')
      .then(({ listFolder }) => listFolder(folder, control.signal))
      .catch((): FoundFile[] => [])
      .then((files) => !control.signal.aborted && setFound({ folder, files }));
    return () => control.abort();
  }, [folder]);
  if (typed === null) return [];
  if (found?.folder !== folder) return null;
  const start = typed.start.toLowerCase();
  return found.files.filter((file) => file.name.toLowerCase().startsWith(start)).slice(0, 8);
}

/** The first few whose text has all the words in it; none where there are no words. */
export function pick<T>(items: readonly T[], words: string, textOf: (item: T) => string, most = 6): T[] {
  const wanted = words
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  if (wanted.length === 0) return [];
  const picked: T[] = [];
  for (const item of items) {
    const text = textOf(item).toLowerCase();
    if (wanted.every((word) => text.includes(word))) picked.push(item);
    if (picked.length === most) break;
  }
  return picked;
}

/** How well what is typed fits what something is called, 0–1: whole beginnings first, then words, then any part, then
 *  the first letters of its words. */
export function fits(names: readonly string[], search: string): number {
  const wanted = search.trim().toLowerCase();
  const scores = names.map((each) => {
    const name = each.toLowerCase();
    if (name === wanted) return 1;
    if (name.startsWith(wanted)) return 0.9;
    const words = name.split(/[^\p{L}\p{N}]+/u).filter((word) => word !== '');
    if (words.some((word) => word.startsWith(wanted))) return 0.7;
    if (name.includes(wanted)) return 0.5;
    const initials = words.map((word) => word[0]).join('');
    return initials.startsWith(wanted) && words.length < 5 ? 0.4 : 0;
  });
  const all = wanted.split(/\s+/);
  const spread =
    all.length > 1 && all.every((word) => names.some((name) => name.toLowerCase().includes(word)));
  return Math.max(spread ? 0.3 : 0, ...scores);
}
