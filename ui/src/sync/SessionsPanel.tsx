import { zodResolver } from '@hookform/resolvers/zod';
import { History, Save, Trash2, Undo2 } from 'lucide-react';
import { useCallback, useEffect, useState } from 'react';
import { useForm } from 'react-hook-form';
import { z } from 'zod';
import { create } from 'zustand';
import { explain } from '@/api/explain';
import { ApiError } from '@/api/http';
import { useEvent, useResync } from '@/api/live';
import { deleteSession, listSessions, restoreSession, saveSession } from '@/api/routes';
import { type Session, sessionNameSchema } from '@/api/session';
import { Button, EmptyState, ErrorState, Field, IconButton, Input, SkeletonRows, toast } from '@/components';
import { formatAgo, formatAmount, formatMoment } from '@/format';
import { showApps } from './desktop';

const PREVIOUS = 'previous';
const UNDO_MS = 8_000;

/** Brings a saved desktop back in one paint; what was there before can be brought back the same way. */
export async function restore(id: string, name: string): Promise<void> {
  const undoes = id === PREVIOUS;
  try {
    const { apps, failed } = await restoreSession(id);
    showApps(apps);
    toast({
      tone: failed.length > 0 ? 'warning' : 'info',
      title: undoes ? 'The desktop is back as it was.' : `“${name}” was restored.`,
      ...(failed.length > 0
        ? { hint: failed.map(({ title, message }) => `${title}: ${message}`).join(' ') }
        : {}),
      action: {
        label: undoes ? 'Redo' : 'Undo',
        run: () => void restore(PREVIOUS, 'the desktop before'),
      },
    });
  } catch (error) {
    toast({ tone: 'danger', title: `“${name}” could not be restored.`, hint: explain(error) });
  }
}

const formSchema = z.object({ name: sessionNameSchema });
type Form = z.infer<typeof formSchema>;

interface Listing {
  sessions: readonly Session[] | null;
  error: unknown;
}

interface Leaving {
  /** Deleted here, but not yet there: for as long as it can be undone. */
  ids: ReadonlyMap<string, ReturnType<typeof setTimeout>>;
}

/** Outlives the panel, so that closing it neither hurries nor stops a deletion. */
const useLeaving = create<Leaving>(() => ({ ids: new Map() }));

function stay(id: string): void {
  useLeaving.setState(({ ids }) => ({ ids: new Map([...ids].filter(([other]) => other !== id)) }));
}

function remove(session: Session): void {
  const gone = async (): Promise<void> => {
    try {
      await deleteSession(session.id);
    } catch (failure) {
      if (failure instanceof ApiError && failure.status === 404) return;
      stay(session.id);
      toast({ tone: 'danger', title: `“${session.name}” could not be deleted.`, hint: explain(failure) });
    }
  };
  const timer = setTimeout(() => void gone(), UNDO_MS);
  useLeaving.setState(({ ids }) => ({ ids: new Map(ids).set(session.id, timer) }));
  toast({
    title: `“${session.name}” was deleted.`,
    ms: UNDO_MS - 500,
    action: {
      label: 'Undo',
      run: () => {
        clearTimeout(timer);
        stay(session.id);
      },
    },
  });
}

/** Saved desktops: to save this one, to bring one back, to delete one. */
export default function SessionsPanel({ onDone }: { onDone: () => void }) {
  const [{ sessions, error }, setListing] = useState<Listing>({ sessions: null, error: null });
  const leaving = useLeaving((store) => store.ids);

  const reload = useCallback(() => {
    listSessions()
      .then((list) => setListing({ sessions: list, error: null }))
      .catch((failure: unknown) => setListing((old) => ({ ...old, error: failure })));
  }, []);
  useEffect(reload, [reload]);
  useEvent('session', reload);
  useResync(reload);

  const shown = sessions?.filter(({ id, automatic }) => !leaving.has(id) && (!automatic || id === PREVIOUS));
  return (
    <div className="flex min-h-0 w-full flex-col gap-3">
      <SaveForm onSaved={reload} />
      <div className="min-h-0 overflow-auto">
        {shown === undefined && error !== null ? (
          <ErrorState title="The saved sessions can’t be listed." hint={explain(error)} retry={reload} />
        ) : shown === undefined ? (
          <SkeletonRows rows={3} />
        ) : shown.length === 0 ? (
          <EmptyState
            icon={Save}
            title="No session has been saved yet. Give this desktop a name to keep it."
          />
        ) : (
          <ul aria-label="Saved sessions" className="flex flex-col">
            {shown.map((session) => (
              <li key={session.id} className="flex min-h-11 items-center gap-2 border-t border-line/60 py-1">
                <div className="min-w-0 flex-1">
                  <p className="truncate" title={session.name}>
                    {session.id === PREVIOUS ? 'Before the last restore' : session.name}
                  </p>
                  <p className="truncate text-sm text-muted" title={formatMoment(session.updated_us)}>
                    {formatAmount(session.apps, 'window')}, {formatAgo(session.updated_us)}
                  </p>
                </div>
                <Button
                  size="sm"
                  icon={session.id === PREVIOUS ? Undo2 : History}
                  aria-label={`Restore ${session.name}`}
                  onClick={() => {
                    void restore(session.id, session.name);
                    onDone();
                  }}
                >
                  Restore
                </Button>
                {session.automatic ? null : (
                  <IconButton
                    label={`Delete ${session.name}`}
                    icon={Trash2}
                    tone="danger"
                    onClick={() => remove(session)}
                  />
                )}
              </li>
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}

function SaveForm({ onSaved }: { onSaved: () => void }) {
  const { register, handleSubmit, reset, setError, formState } = useForm<Form>({
    resolver: zodResolver(formSchema),
    defaultValues: { name: '' },
  });
  const [taken, setTaken] = useState(false);

  const save = async (name: string, replace: boolean): Promise<void> => {
    try {
      await saveSession(name, replace);
      reset();
      setTaken(false);
      onSaved();
      toast({ tone: 'success', title: `“${name}” was saved.` });
    } catch (error) {
      const duplicate = error instanceof ApiError && error.code === 'duplicate';
      setTaken(duplicate);
      setError('name', {
        type: 'server',
        message: duplicate
          ? `There is a session called “${name}”. Replacing it can’t be undone.`
          : explain(error),
      });
    }
  };
  return (
    <form noValidate onSubmit={(event) => void handleSubmit(({ name }) => save(name, taken))(event)}>
      <Field label="Save this desktop as" error={formState.errors.name?.message}>
        {(control) => (
          <span className="flex gap-2">
            <Input
              {...control}
              {...register('name', { onChange: () => setTaken(false) })}
              autoComplete="off"
              maxLength={200}
            />
            <Button
              type="submit"
              variant={taken ? 'danger' : 'primary'}
              icon={Save}
              disabled={formState.isSubmitting}
            >
              {taken ? 'Replace it' : 'Save'}
            </Button>
          </span>
        )}
      </Field>
    </form>
  );
}
