import { z } from 'zod';
import type { Json } from '@/api/json';

const noteSchema = z.object({
  id: z.string().min(1),
  title: z.string(),
  text: z.string(),
  edited_us: z.number(),
});
export type Note = z.infer<typeof noteSchema>;

const notesSchema = z.object({ notes: z.array(noteSchema), open: z.string().nullable() });
export type Notes = z.infer<typeof notesSchema>;

/** What the app’s state says; anything that isn’t notes counts as none. */
export function readNotes(state: Json): Notes {
  const parsed = notesSchema.safeParse(state);
  if (!parsed.success) return { notes: [], open: null };
  const { notes, open } = parsed.data;
  return { notes, open: notes.some((note) => note.id === open) ? open : (notes[0]?.id ?? null) };
}

/** What a note is called in the list: its title, else its first line. */
export function nameOf(note: Pick<Note, 'title' | 'text'>): string {
  const title = note.title.trim();
  if (title !== '') return title;
  const line = note.text
    .split('\n')
    .map((each) => each.trim())
    .find((each) => each !== '');
  return line === undefined ? 'Untitled' : line.slice(0, 80);
}

export function addNote(notes: Notes, note: Note): Notes {
  return { notes: [note, ...notes.notes], open: note.id };
}

export function editNote(
  notes: Notes,
  id: string,
  change: Partial<Pick<Note, 'title' | 'text'>>,
  now: number,
): Notes {
  return {
    ...notes,
    notes: notes.notes.map((note) => (note.id === id ? { ...note, ...change, edited_us: now } : note)),
  };
}

export function removeNote(notes: Notes, id: string): Notes {
  const at = notes.notes.findIndex((note) => note.id === id);
  const rest = notes.notes.filter((note) => note.id !== id);
  const open = notes.open === id ? (rest[Math.min(at, rest.length - 1)]?.id ?? null) : notes.open;
  return { notes: rest, open };
}

/** Puts a removed note back where it was. */
export function insertNote(notes: Notes, note: Note, at: number): Notes {
  if (notes.notes.some((other) => other.id === note.id)) return notes;
  const next = [...notes.notes];
  next.splice(Math.min(at, next.length), 0, note);
  return { notes: next, open: note.id };
}
