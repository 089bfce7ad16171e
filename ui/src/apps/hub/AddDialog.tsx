import { useForm } from 'react-hook-form';
import { explain } from '@/api/explain';
import { ApiError } from '@/api/http';
import { putManifest } from '@/api/routes';
import { Button, Dialog, Field, TextArea, toast } from '@/components';
import { launch, reloadManifests } from '@/sync/desktop';
import { EXAMPLE, type Problem, readDraft } from './draft';

interface Form {
  text: string;
}

function problemsOf(error: unknown): Problem[] {
  if (error instanceof ApiError) {
    const field = (error.detail as { field?: unknown } | null)?.field;
    return [{ place: typeof field === 'string' ? field : '', message: explain(error), line: null }];
  }
  return [{ place: '', message: explain(error), line: null }];
}

/** Adds an app to the registry from a manifest that is pasted in. */
export function AddDialog({ onClose }: { onClose: () => void }) {
  const { register, handleSubmit, setValue, setError, formState } = useForm<Form>({
    defaultValues: { text: '' },
    mode: 'onSubmit',
    reValidateMode: 'onChange',
    resolver: (values) => {
      const read = readDraft(values.text);
      if (read.ok) return { values, errors: {} };
      return { values: {}, errors: { text: { type: 'manifest', message: JSON.stringify(read.problems) } } };
    },
  });
  const raw = formState.errors.text?.message;
  const problems: Problem[] = raw === undefined ? [] : (JSON.parse(raw) as Problem[]);

  const submit = handleSubmit(async ({ text }) => {
    const read = readDraft(text);
    if (!read.ok) return;
    try {
      await putManifest(read.draft);
      reloadManifests();
      toast({
        tone: 'success',
        title: `${read.draft.title} was added.`,
        action: { label: 'Open', run: () => void launch(read.draft.id) },
      });
      onClose();
    } catch (error) {
      setError('text', { type: 'server', message: JSON.stringify(problemsOf(error)) });
    }
  });

  return (
    <Dialog
      open
      onOpenChange={(shown) => !shown && onClose()}
      title="Add an app"
      description="Paste a manifest: an app described as data. It gets only the rights it asks for here."
      width={640}
      footer={
        <>
          <Button
            variant="ghost"
            onClick={() => setValue('text', EXAMPLE, { shouldValidate: formState.isSubmitted })}
          >
            Fill in an example
          </Button>
          <Button onClick={onClose}>Cancel</Button>
          <Button variant="primary" onClick={() => void submit()} disabled={formState.isSubmitting}>
            Add
          </Button>
        </>
      }
    >
      <Field label="Manifest, as JSON">
        {(control) => (
          <TextArea
            {...control}
            {...register('text')}
            spellCheck={false}
            rows={14}
            className="font-mono text-sm"
            aria-invalid={problems.length > 0}
            aria-describedby="manifest-problems"
          />
        )}
      </Field>
      <ul
        id="manifest-problems"
        role={problems.length > 0 ? 'alert' : undefined}
        className="mt-2 flex flex-col gap-1 text-sm"
      >
        {problems.map((problem) => (
          <li key={`${problem.place}:${problem.message}`} className="break-words text-danger">
            {problem.line === null ? null : <span className="tabular">line {problem.line}: </span>}
            {problem.place === '' ? null : (
              <>
                <code>{problem.place}</code>{' '}
              </>
            )}
            {problem.message}
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
