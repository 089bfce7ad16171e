import {
  ArrowUp,
  Download,
  File as FileIcon,
  FilePlus,
  FileSymlink,
  Folder as FolderIcon,
  FolderOpen,
  FolderPlus,
  Pencil,
  RotateCw,
  Trash2,
  Upload,
} from 'lucide-react';
import {
  type DragEvent,
  type KeyboardEvent,
  type MouseEvent,
  useEffect,
  useMemo,
  useRef,
  useState,
} from 'react';
import { FileKind } from '@/api/gen/uos/v1/files_pb';
import { ApiError } from '@/api/http';
import {
  Button,
  Cell,
  cx,
  Dialog,
  EmptyState,
  ErrorState,
  HeadCell,
  IconButton,
  Row,
  SkeletonRows,
  Table,
  toast,
} from '@/components';
import { formatAmount, formatDate, formatMoment, formatSize } from '@/format';
import { useLongPress } from '@/input/pointer';
import type { AppProps } from '../contract';
import { useExplain } from '../who';
import { Breadcrumbs } from './Breadcrumbs';
import { BIN, type Column, type Entry, isFolder, PLACES, readSaved, sortEntries, writeSaved } from './model';
import { NameField } from './NameField';
import * as ops from './ops';
import { Progress } from './Progress';
import { fileUrl, isWithin, join, joinText, type Path, parent, pathOf } from './path';
import { useFolder } from './useFolder';
import { useUploads } from './useUploads';

/** What is being named: an entry by its key, or something new. */
type Naming = { key: string } | { fresh: 'folder' | 'file' } | null;

const COLUMN_NAMES: Record<Column, string> = { name: 'Name', size: 'Size', modified: 'Modified' };

export default function Files({ app, pid, call, state, setState }: AppProps) {
  const saved = readSaved(state);
  const { path, sort, descending } = saved;
  const folder = useFolder(call, path);
  const say = useExplain(app);
  const entries = useMemo(
    () => sortEntries(folder.entries, sort, descending).filter((entry) => entry.text !== '.trash'),
    [folder.entries, sort, descending],
  );
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [cursor, setCursor] = useState<string | null>(null);
  const [anchor, setAnchor] = useState<string | null>(null);
  const [naming, setNaming] = useState<Naming>(null);
  const [doomed, setDoomed] = useState<readonly Entry[] | null>(null);
  const [dropping, setDropping] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  const typed = useRef({ text: '', at: 0 });
  /** The keyboard is to go back to the list. */
  const returning = useRef(false);

  const chosen = entries.filter((entry) => selected.has(entry.key));
  const focused = entries.find((entry) => entry.key === cursor) ?? entries[0];
  const inBin = isWithin(path.text, BIN);

  const fail = (title: string) => (error: unknown) => {
    toast({ tone: 'danger', title, hint: say(error) });
  };
  const go = (to: Path): void => {
    setSelected(new Set());
    setCursor(null);
    setAnchor(null);
    setNaming(null);
    setState(writeSaved({ ...saved, path: to }));
  };
  const open = (entry: Entry): void => {
    const to = join(path, entry);
    if (isFolder(entry) || entry.kind === FileKind.SYMLINK) {
      if (isFolder(entry)) {
        go(to);
        return;
      }
      call('fileStat', { path: to.text, follow: true })
        .then((stat) => (stat.kind === FileKind.DIRECTORY ? go(to) : download(entry)))
        .catch(fail(`“${entry.text}” could not be opened.`));
      return;
    }
    download(entry);
  };
  const download = (entry: Entry): void => {
    if (pid === null) return;
    const link = document.createElement('a');
    link.href = fileUrl(join(path, entry), pid);
    link.download = entry.text;
    link.click();
  };

  const choose = (entry: Entry, how: 'one' | 'toggle' | 'range'): void => {
    setCursor(entry.key);
    if (how === 'range') {
      const from = Math.max(
        0,
        entries.findIndex((each) => each.key === (anchor ?? focused?.key)),
      );
      const to = entries.indexOf(entry);
      const part = entries.slice(Math.min(from, to), Math.max(from, to) + 1);
      setSelected(new Set(part.map((each) => each.key)));
      return;
    }
    setAnchor(entry.key);
    if (how === 'one') setSelected(new Set([entry.key]));
    else {
      const next = new Set(selected);
      if (!next.delete(entry.key)) next.add(entry.key);
      setSelected(next);
    }
  };

  const remove = (list: readonly Entry[]): void => {
    if (list.length === 0) return;
    if (!ops.hasBin(path)) {
      setDoomed(list);
      return;
    }
    const what = list.length === 1 ? `“${list[0]?.text}”` : formatAmount(list.length, 'thing');
    setSelected(new Set());
    ops
      .throwAway(call, path, list)
      .then((back) =>
        toast({
          title: `${what} moved to the bin.`,
          action: {
            label: 'Undo',
            run: () => void back().catch(fail(`${what} could not be brought back.`)),
          },
        }),
      )
      .catch(fail(`${what} could not be deleted.`));
  };

  const uploads = useUploads((file, error) => {
    const large = error instanceof ApiError && error.status === 413;
    fail(`“${file.name}” ${large ? 'is too large' : 'could not be uploaded'}.`)(error);
  });
  const send = (files: readonly File[]): void => {
    if (pid === null || files.length === 0) return;
    const taken = new Set(folder.entries.map((entry) => entry.text));
    uploads.send(files, path, pid, (name) => taken.has(name));
  };

  const finishNaming = async (name: string): Promise<void> => {
    if (naming === null) return;
    if ('fresh' in naming) {
      const to = joinText(path, name);
      await (naming.fresh === 'folder' ? ops.createFolder(call, to) : ops.createFile(call, to));
    } else {
      const entry = folder.entries.find((each) => each.key === naming.key);
      if (entry !== undefined && name !== entry.text)
        await ops.move(call, join(path, entry), joinText(path, name));
    }
    const key = `=${name}`;
    setNaming(null);
    setSelected(new Set([key]));
    setCursor(key);
    returning.current = true;
  };

  // A finger opens what it taps; staying on a thing selects it, and from then on taps select more.
  const pressed = useRef(false);
  const press = useLongPress(({ x, y }) => {
    const key = document.elementFromPoint(x, y)?.closest('[data-key]')?.getAttribute('data-key');
    const entry = entries.find((each) => each.key === key);
    if (entry === undefined) return;
    pressed.current = true;
    choose(entry, 'toggle');
  });
  const onClick = (entry: Entry, event: MouseEvent<HTMLElement>): void => {
    if (pressed.current) {
      pressed.current = false;
      return;
    }
    const byMouse = (event.nativeEvent as globalThis.PointerEvent).pointerType !== 'touch';
    if (!byMouse && selected.size === 0) open(entry);
    else if (event.shiftKey) choose(entry, 'range');
    else choose(entry, !byMouse || event.ctrlKey || event.metaKey ? 'toggle' : 'one');
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    if (naming !== null || event.target instanceof HTMLInputElement) return;
    const at = focused === undefined ? -1 : entries.indexOf(focused);
    const to = (index: number): void => {
      const entry = entries[Math.max(0, Math.min(entries.length - 1, index))];
      if (entry !== undefined) choose(entry, event.shiftKey ? 'range' : 'one');
    };
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (event.key === 'ArrowDown' && plain) to(cursor === null ? 0 : at + 1);
    else if ((event.key === 'ArrowUp' && event.altKey) || (event.key === 'Backspace' && plain))
      go(parent(path));
    else if (event.key === 'ArrowUp' && plain) to(at - 1);
    else if (event.key === 'Home' && plain) to(0);
    else if (event.key === 'End' && plain) to(entries.length - 1);
    else if (event.key === 'PageDown' && plain) to(at + 12);
    else if (event.key === 'PageUp' && plain) to(at - 12);
    else if (event.key === 'Enter' && plain && focused !== undefined) open(focused);
    else if (event.key === 'F2' && focused !== undefined) setNaming({ key: focused.key });
    else if (event.key === 'Delete' && plain) remove(chosen);
    else if (event.key === 'Escape' && selected.size > 0) setSelected(new Set());
    else if (event.key === 'a' && (event.ctrlKey || event.metaKey)) {
      setSelected(new Set(entries.map((entry) => entry.key)));
    } else if (event.key === ' ' && plain && focused !== undefined) choose(focused, 'toggle');
    else if (event.key.length === 1 && plain) {
      const recent = event.timeStamp - typed.current.at < 700;
      typed.current = {
        text: (recent ? typed.current.text : '') + event.key.toLowerCase(),
        at: event.timeStamp,
      };
      const hit = entries.find((entry) => entry.text.toLowerCase().startsWith(typed.current.text));
      if (hit === undefined) return;
      choose(hit, 'one');
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const present = cursor !== null && entries.some((entry) => entry.key === cursor);
  useEffect(() => {
    if (cursor === null || !present || body.current === null) return;
    // What was just named may come a little later, into a table that was not there before.
    if (!returning.current && !body.current.contains(document.activeElement)) return;
    returning.current = false;
    const row = body.current.querySelector<HTMLElement>(`[data-key="${CSS.escape(cursor)}"]`);
    row?.focus();
    row?.scrollIntoView({ block: 'nearest' });
  }, [cursor, present]);

  const shown = saved.show === undefined ? undefined : entries.find((entry) => entry.text === saved.show);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when what is to be shown is there
  useEffect(() => {
    if (shown === undefined) return;
    choose(shown, 'one');
    body.current
      ?.querySelector(`[data-key="${CSS.escape(shown.key)}"]`)
      ?.scrollIntoView({ block: 'nearest' });
    setState(writeSaved(saved));
  }, [shown?.key]);

  const dropped = (event: DragEvent): void => {
    event.preventDefault();
    setDropping(false);
    send([...event.dataTransfer.files]);
  };
  const carriesFiles = (event: DragEvent): boolean => event.dataTransfer.types.includes('Files');
  const onSort = (column: Column) => () =>
    setState(
      writeSaved({ ...saved, sort: column, descending: column === sort ? !descending : column !== 'name' }),
    );

  const single = chosen.length === 1 ? chosen[0] : undefined;
  const failed = folder.error !== null && folder.error !== undefined;
  /** There is no folder here to put anything into. */
  const nowhere = failed && folder.entries.length === 0;
  return (
    <div className="@container flex h-full min-h-0 bg-surface">
      <nav
        aria-label="Places"
        className="hidden w-44 shrink-0 overflow-auto border-r border-line bg-raised p-1 @min-[560px]:block"
      >
        <ul>
          {PLACES.map((place) => (
            <li key={place.path}>
              <button
                type="button"
                aria-current={path.text === place.path ? 'location' : undefined}
                onClick={() => {
                  if (place.path !== BIN) {
                    go(pathOf(place.path));
                    return;
                  }
                  // The bin is made by its first use.
                  void call('createDirectory', { path: BIN, parents: true })
                    .catch(() => undefined)
                    .then(() => go(pathOf(BIN)));
                }}
                className={cx(
                  'flex w-full flex-col justify-center rounded-md px-2 py-1.5 text-left coarse:min-h-11',
                  path.text === place.path ? 'bg-accent-soft' : 'hover:bg-hover',
                )}
              >
                <span className="truncate">{place.name}</span>
                {place.note === '' ? null : <span className="truncate text-xs text-muted">{place.note}</span>}
              </button>
            </li>
          ))}
        </ul>
      </nav>
      <section
        aria-label={`Folder ${path.text}`}
        className="relative flex min-w-0 flex-1 flex-col"
        onDragOver={(event) => {
          if (!carriesFiles(event)) return;
          event.preventDefault();
          setDropping(true);
        }}
        onDragLeave={(event) => {
          if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setDropping(false);
        }}
        onDrop={dropped}
      >
        <div className="flex min-h-10 items-center gap-1 border-b border-line px-2 py-1">
          <IconButton
            label="Go up"
            icon={ArrowUp}
            disabled={path.text === '/'}
            onClick={() => go(parent(path))}
          />
          <Breadcrumbs path={path} onGo={go} />
          <IconButton label="Read again" icon={RotateCw} onClick={folder.reload} />
        </div>
        <div role="toolbar" aria-label="Files" className="flex flex-wrap items-center gap-0.5 px-2 py-1">
          <IconButton
            label="New folder"
            icon={FolderPlus}
            disabled={nowhere}
            onClick={() => setNaming({ fresh: 'folder' })}
          />
          <IconButton
            label="New file"
            icon={FilePlus}
            disabled={nowhere}
            onClick={() => setNaming({ fresh: 'file' })}
          />
          <IconButton
            label="Upload"
            icon={Upload}
            disabled={pid === null || nowhere}
            onClick={() => picker.current?.click()}
          />
          <input
            ref={picker}
            type="file"
            multiple
            aria-label="Files to upload"
            tabIndex={-1}
            className="sr-only"
            onChange={(event) => {
              send([...(event.target.files ?? [])]);
              event.target.value = '';
            }}
          />
          <span aria-hidden="true" className="mx-1 h-4 w-px bg-line" />
          <IconButton
            label="Download"
            icon={Download}
            disabled={single === undefined || isFolder(single)}
            onClick={() => single !== undefined && download(single)}
          />
          <IconButton
            label="Rename"
            icon={Pencil}
            disabled={single === undefined}
            onClick={() => single !== undefined && setNaming({ key: single.key })}
          />
          <IconButton
            label={ops.hasBin(path) ? 'Move to the bin' : 'Delete'}
            icon={Trash2}
            tone="danger"
            disabled={chosen.length === 0}
            onClick={() => remove(chosen)}
          />
          {inBin && entries.length > 0 ? (
            <Button size="sm" onClick={() => setDoomed(entries)}>
              Empty the bin
            </Button>
          ) : null}
        </div>
        <div className="min-h-0 flex-1 overflow-auto">
          {nowhere ? (
            <ErrorState
              title={`“${path.text}” can’t be shown.`}
              hint={say(folder.error)}
              retry={folder.reload}
            />
          ) : folder.entries.length === 0 && folder.loading ? (
            <SkeletonRows />
          ) : entries.length === 0 && naming === null ? (
            <EmptyState
              icon={FolderOpen}
              title={
                inBin
                  ? 'The bin is empty.'
                  : 'This folder is empty. Drop files here, or begin with a new one.'
              }
              action={
                inBin ? undefined : (
                  <Button icon={FolderPlus} onClick={() => setNaming({ fresh: 'folder' })}>
                    New folder
                  </Button>
                )
              }
            />
          ) : (
            <Table
              role="grid"
              aria-multiselectable="true"
              onKeyDown={onKeyDown}
              aria-label={`What is in ${path.text}`}
            >
              <thead>
                <tr>
                  {(['name', 'size', 'modified'] as const).map((column) => (
                    <HeadCell
                      key={column}
                      align={column === 'name' ? 'start' : 'end'}
                      sort={{
                        direction: column !== sort ? undefined : descending ? 'descending' : 'ascending',
                        onSort: onSort(column),
                      }}
                      className={cx(
                        column === 'name' && 'w-full',
                        column === 'modified' && 'hidden @min-[400px]:table-cell',
                      )}
                    >
                      {COLUMN_NAMES[column]}
                    </HeadCell>
                  ))}
                </tr>
              </thead>
              <tbody ref={body} tabIndex={-1} className="focus-visible:outline-none" {...press}>
                {naming !== null && 'fresh' in naming ? (
                  <Row>
                    <Cell colSpan={3}>
                      <NameField
                        label={naming.fresh === 'folder' ? 'Name of the new folder' : 'Name of the new file'}
                        name=""
                        say={say}
                        onDone={finishNaming}
                        onCancel={() => setNaming(null)}
                      />
                    </Cell>
                  </Row>
                ) : null}
                {entries.map((entry) => (
                  <Row
                    key={entry.key}
                    data-key={entry.key}
                    selected={selected.has(entry.key)}
                    tabIndex={entry === focused ? 0 : -1}
                    onFocus={(event) => {
                      if (event.target === event.currentTarget) setCursor(entry.key);
                    }}
                    onClick={(event) => onClick(entry, event)}
                    onDoubleClick={() => open(entry)}
                  >
                    <Cell className="max-w-0">
                      {naming !== null && 'key' in naming && naming.key === entry.key ? (
                        <NameField
                          label={`New name of ${entry.text}`}
                          name={entry.text}
                          say={say}
                          onDone={finishNaming}
                          onCancel={() => setNaming(null)}
                        />
                      ) : (
                        <EntryName entry={entry} />
                      )}
                    </Cell>
                    <Cell align="end" className="text-muted">
                      {entry.size === null ? '' : formatSize(entry.size)}
                    </Cell>
                    <Cell align="end" className="hidden text-muted @min-[400px]:table-cell">
                      {entry.modified === null ? (
                        ''
                      ) : (
                        <span title={formatMoment(entry.modified)}>{formatDate(entry.modified)}</span>
                      )}
                    </Cell>
                  </Row>
                ))}
              </tbody>
            </Table>
          )}
          {folder.more ? (
            <div className="flex items-center gap-3 px-3 py-2 text-sm text-muted">
              The first {formatAmount(entries.length, 'entry', 'entries')} are shown and sorted.
              <Button size="sm" disabled={folder.loading} onClick={folder.loadMore}>
                Show more
              </Button>
            </div>
          ) : null}
        </div>
        {uploads.sending === null ? null : <Progress sending={uploads.sending} onCancel={uploads.cancel} />}
        <div
          role="status"
          className="flex min-h-7 items-center gap-3 border-t border-line px-3 text-sm text-muted tabular"
        >
          <span>
            {chosen.length > 0
              ? `${chosen.length} of ${formatAmount(entries.length, 'entry', 'entries')} selected`
              : formatAmount(entries.length, 'entry', 'entries')}
          </span>
          {failed && folder.entries.length > 0 ? (
            <span className="truncate text-danger">{say(folder.error)}</span>
          ) : null}
        </div>
        {dropping ? (
          <div className="pointer-events-none absolute inset-1 grid place-content-center rounded-md border-2 border-dashed border-accent bg-accent-soft">
            Drop to upload to {path.text}
          </div>
        ) : null}
      </section>
      <Dialog
        open={doomed !== null}
        onOpenChange={(shown) => !shown && setDoomed(null)}
        title={
          doomed?.length === 1
            ? `Delete “${doomed[0]?.text}”?`
            : `Delete ${formatAmount(doomed?.length ?? 0, 'thing')}?`
        }
        description={
          doomed?.some(isFolder)
            ? 'Folders go with all that is in them. From here nothing can be brought back.'
            : 'From here nothing can be brought back.'
        }
        footer={
          <>
            <Button onClick={() => setDoomed(null)}>Cancel</Button>
            <Button
              variant="danger"
              onClick={() => {
                if (doomed === null) return;
                ops.destroy(call, path, doomed).catch(fail('Not everything could be deleted.'));
                setSelected(new Set());
                setDoomed(null);
              }}
            >
              Delete
            </Button>
          </>
        }
      />
    </div>
  );
}

function EntryName({ entry }: { entry: Entry }) {
  const Icon = isFolder(entry) ? FolderIcon : entry.kind === FileKind.SYMLINK ? FileSymlink : FileIcon;
  const kind = isFolder(entry) ? 'folder' : entry.kind === FileKind.SYMLINK ? 'link' : 'file';
  return (
    <span className="flex items-center gap-2">
      <Icon
        size={16}
        strokeWidth={1.75}
        role="img"
        aria-label={kind}
        className={cx('shrink-0', isFolder(entry) ? 'text-accent-text' : 'text-muted')}
      />
      <span className="truncate" title={entry.text}>
        {entry.text}
      </span>
      {entry.raw === null ? null : (
        <span
          className="shrink-0 rounded-sm bg-warning-soft px-1 text-xs text-warning"
          title={`Its bytes are ${[...entry.raw].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}`}
        >
          not UTF-8
        </span>
      )}
    </span>
  );
}
