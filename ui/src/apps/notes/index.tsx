import { CloudOff, NotebookPen, Plus, Trash2 } from 'lucide-react';
import { useEffect, useRef } from 'react';
import { Button, cx, EmptyState, IconButton, toast } from '@/components';
import { formatAgo, formatMoment } from '@/format';
import { useDesktopStore } from '@/sync/desktop';
import type { AppProps } from '../contract';
import { addNote, editNote, insertNote, type Note, type Notes, nameOf, readNotes, removeNote } from './model';

const nowUs = (): number => Date.now() * 1000;

/** The server takes 256 KiB; past this a person is told before it refuses. */
const ROOM = 240 * 1024;

function SaveMark({ appId }: { appId: string }) {
  const status = useDesktopStore((state) => state.saves[appId] ?? 'saved');
  return (
    <span role="status" data-testid="save-status" className="flex items-center gap-1.5 text-sm text-muted">
      {status === 'kept' ? <CloudOff size={14} strokeWidth={1.75} aria-hidden="true" /> : null}
      {status === 'saved' ? 'saved' : status === 'saving' ? 'saving…' : 'offline, kept here'}
    </span>
  );
}

export default function NotesApp({ app, state, setState }: AppProps) {
  const notes = readNotes(state);
  const current = notes.notes.find((note) => note.id === notes.open) ?? null;
  const latest = useRef(notes);
  latest.current = notes;
  const title = useRef<HTMLInputElement>(null);
  const fresh = useRef(false);
  const save = (next: Notes): void => setState(next);

  const add = (): void => {
    fresh.current = true;
    save(addNote(notes, { id: crypto.randomUUID(), title: '', text: '', edited_us: nowUs() }));
  };
  const remove = (note: Note): void => {
    const at = notes.notes.indexOf(note);
    save(removeNote(notes, note.id));
    toast({
      title: `“${nameOf(note)}” was deleted.`,
      action: { label: 'Undo', run: () => save(insertNote(latest.current, note, at)) },
    });
  };

  // biome-ignore lint/correctness/useExhaustiveDependencies: only a new note takes the focus
  useEffect(() => {
    if (fresh.current) title.current?.focus();
    fresh.current = false;
  }, [current?.id]);

  if (current === null) {
    return (
      <EmptyState
        icon={NotebookPen}
        title="There are no notes yet."
        action={
          <Button variant="primary" icon={Plus} onClick={add}>
            New note
          </Button>
        }
      />
    );
  }
  const room = JSON.stringify(state).length;
  return (
    <div className="@container flex h-full min-h-0 bg-surface">
      <nav
        aria-label="Notes"
        className="hidden w-56 shrink-0 flex-col border-r border-line bg-raised @min-[480px]:flex"
      >
        <div className="flex items-center justify-between py-1 pr-1 pl-3">
          <span className="text-sm font-medium text-muted">Notes</span>
          <IconButton label="New note" icon={Plus} onClick={add} />
        </div>
        <ul className="min-h-0 flex-1 overflow-auto px-1 pb-1">
          {notes.notes.map((note) => (
            <li key={note.id}>
              <button
                type="button"
                aria-current={note.id === current.id ? 'true' : undefined}
                onClick={() => save({ ...notes, open: note.id })}
                className={cx(
                  'flex w-full flex-col rounded-md px-2 py-1.5 text-left coarse:min-h-11',
                  note.id === current.id ? 'bg-accent-soft' : 'hover:bg-hover',
                )}
              >
                <span className="w-full truncate font-medium">{nameOf(note)}</span>
                <span className="w-full truncate text-sm text-muted" title={formatMoment(note.edited_us)}>
                  {formatAgo(note.edited_us)}
                </span>
              </button>
            </li>
          ))}
        </ul>
      </nav>
      <section aria-label={nameOf(current)} className="flex min-w-0 flex-1 flex-col">
        <div className="flex min-h-10 items-center gap-2 px-3 pt-1 @min-[480px]:px-5">
          <select
            aria-label="Note"
            value={current.id}
            onChange={(event) => save({ ...notes, open: event.target.value })}
            className="h-8 min-w-0 flex-1 rounded-md bg-transparent text-sm @min-[480px]:hidden"
          >
            {notes.notes.map((note) => (
              <option key={note.id} value={note.id}>
                {nameOf(note)}
              </option>
            ))}
          </select>
          <span className="hidden flex-1 @min-[480px]:block" />
          <SaveMark appId={app.id} />
          <IconButton label="New note" icon={Plus} onClick={add} className="@min-[480px]:hidden" />
          <IconButton label="Delete this note" icon={Trash2} tone="danger" onClick={() => remove(current)} />
        </div>
        <div className="mx-auto flex min-h-0 w-full max-w-[72ch] flex-1 flex-col px-4 @min-[480px]:px-6">
          <input
            ref={title}
            aria-label="Title"
            placeholder="Untitled"
            value={current.title}
            maxLength={200}
            onChange={(event) => save(editNote(notes, current.id, { title: event.target.value }, nowUs()))}
            className="w-full bg-transparent py-1 text-xl font-semibold placeholder:text-faint"
          />
          <textarea
            aria-label="Text"
            placeholder="Write…"
            value={current.text}
            onChange={(event) => save(editNote(notes, current.id, { text: event.target.value }, nowUs()))}
            className="min-h-0 w-full flex-1 resize-none bg-transparent py-2 text-lg leading-7 placeholder:text-faint focus-visible:outline-none"
          />
        </div>
        {room > ROOM ? (
          <p role="alert" className="px-5 py-2 text-sm text-danger">
            These notes are close to the 256 KiB that one app may keep. Delete some, or keep long texts in
            Files.
          </p>
        ) : null}
      </section>
    </div>
  );
}
