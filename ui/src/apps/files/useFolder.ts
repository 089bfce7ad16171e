import { useCallback, useEffect, useRef, useState } from 'react';
import { type DirectoryEntry, FileKind } from '@/api/gen/uos/v1/files_pb';
import { CallError, type Caller } from '@/api/kernel';
import { useEvent, useResync } from '@/api/live';
import { type Entry, keyOf } from './model';
import { baseName, isWithin, join, joinText, type Name, type Path, pathArgs } from './path';

const PAGE = 500;

export interface Folder {
  entries: readonly Entry[];
  /** There is more than what is shown. */
  more: boolean;
  loading: boolean;
  error: unknown;
  /** Fetches the next part. */
  loadMore: () => void;
  reload: () => void;
}

function nameOf(entry: DirectoryEntry): Name {
  return { text: entry.name, raw: entry.nameRaw.length > 0 ? entry.nameRaw : null };
}

/** One part of a folder, each entry with its size and time; those are fetched together in one round trip. */
async function fetchPart(call: Caller, path: Path, cursor: bigint, signal: AbortSignal) {
  const list = await call('listDirectory', { ...pathArgs(path), cursor, limit: PAGE }, { signal });
  const names = list.entries.map(nameOf);
  const stats = await call.many(
    'fileStat',
    names.map((name) => ({ ...pathArgs(join(path, name)), follow: false })),
    { signal },
  );
  const entries = list.entries.map((entry, at): Entry => {
    const name = names[at] ?? { text: entry.name, raw: null };
    const stat = stats[at];
    const known = stat !== undefined && !(stat instanceof CallError);
    return {
      ...name,
      key: keyOf(name),
      kind: entry.kind,
      size: known && entry.kind !== FileKind.DIRECTORY ? stat.sizeBytes : null,
      modified: known ? stat.modifiedUs : null,
    };
  });
  return { entries, next: list.nextCursor ?? null };
}

interface State {
  /** Of which folder all this is. */
  of: string;
  entries: readonly Entry[];
  next: bigint | null;
  error: unknown;
}

/** What a folder holds, kept up to date by events while it is shown. */
export function useFolder(call: Caller, path: Path): Folder {
  const id = `${path.text}\0${path.raw?.join() ?? ''}`;
  const [state, setState] = useState<State | null>(null);
  const [busy, setBusy] = useState(true);
  const [turn, setTurn] = useState(0);
  const abort = useRef<AbortController | null>(null);
  const place = useRef(path);
  place.current = path;

  // biome-ignore lint/correctness/useExhaustiveDependencies: `turn` asks for it again
  useEffect(() => {
    const control = new AbortController();
    abort.current?.abort();
    abort.current = control;
    setBusy(true);
    fetchPart(call, place.current, 0n, control.signal)
      .then(({ entries, next }) => setState({ of: id, entries, next, error: null }))
      .catch((error: unknown) => {
        if (!control.signal.aborted) {
          setState((old) => ({ of: id, entries: old?.of === id ? old.entries : [], next: null, error }));
        }
      })
      .finally(() => {
        if (!control.signal.aborted) setBusy(false);
      });
    return () => control.abort();
  }, [call, id, turn]);

  const reload = useCallback(() => setTurn((value) => value + 1), []);

  const next = state?.of === id ? state.next : null;
  const loadMore = useCallback(() => {
    if (next === null) return;
    const control = abort.current ?? new AbortController();
    setBusy(true);
    fetchPart(call, place.current, next, control.signal)
      .then((part) =>
        setState((old) => {
          if (old === null || old.of !== id) return old;
          const keys = new Set(part.entries.map((entry) => entry.key));
          const kept = old.entries.filter((entry) => !keys.has(entry.key));
          return { of: id, entries: [...kept, ...part.entries], next: part.next, error: null };
        }),
      )
      .catch((error: unknown) => {
        if (!control.signal.aborted) setState((old) => (old?.of === id ? { ...old, error } : old));
      })
      .finally(() => {
        if (!control.signal.aborted) setBusy(false);
      });
  }, [call, id, next]);

  // Events name what changed right here; many at once are one look.
  const touched = useRef(new Set<string>());
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const look = useCallback(() => {
    timer.current = null;
    const names = [...touched.current];
    touched.current.clear();
    const here = place.current;
    const wanted = id;
    if (names.length > 200 || names.some((name) => name.includes('\ufffd'))) {
      reload();
      return;
    }
    call
      .many(
        'fileStat',
        names.map((name) => ({ ...pathArgs(joinText(here, name)), follow: false })),
      )
      .then((stats) => {
        setState((old) => {
          if (old === null || old.of !== wanted) return old;
          const entries = new Map(old.entries.map((entry) => [entry.key, entry]));
          names.forEach((text, at) => {
            const stat = stats[at];
            const key = keyOf({ text, raw: null });
            if (stat === undefined || stat instanceof CallError) {
              entries.delete(key);
              return;
            }
            const folder = stat.kind === FileKind.DIRECTORY;
            entries.set(key, {
              text,
              raw: null,
              key,
              kind: stat.kind,
              size: folder ? null : stat.sizeBytes,
              modified: stat.modifiedUs,
            });
          });
          return { ...old, entries: [...entries.values()] };
        });
      })
      .catch(() => undefined);
  }, [call, id, reload]);

  const touch = useCallback(
    (changed: string) => {
      const here = place.current.text;
      if (!isWithin(changed, here) || changed === here) return;
      const rest = changed.slice(here === '/' ? 1 : here.length + 1);
      if (rest.includes('/')) return;
      touched.current.add(baseName(changed));
      timer.current ??= setTimeout(look, 60);
    },
    [look],
  );
  useEffect(
    () => () => {
      if (timer.current !== null) clearTimeout(timer.current);
      timer.current = null;
      touched.current.clear();
    },
    [],
  );

  useEvent('file', (event) => {
    touch(event.path);
    if (event.to !== null && event.to !== undefined) touch(event.to);
    const here = place.current.text;
    // The folder itself has gone or come back.
    const gone = event.change === 'removed' || event.change === 'moved';
    if (
      (gone && isWithin(here, event.path)) ||
      event.to === here ||
      (event.change === 'created' && event.path === here)
    ) {
      reload();
    }
  });
  useResync(reload);

  const mine = state?.of === id ? state : null;
  return {
    entries: mine?.entries ?? [],
    more: mine !== null && mine.next !== null,
    loading: mine === null || busy,
    error: mine?.error ?? null,
    loadMore,
    reload,
  };
}
