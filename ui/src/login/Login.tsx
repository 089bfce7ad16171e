import { zodResolver } from '@hookform/resolvers/zod';
import { useEffect } from 'react';
import { useForm } from 'react-hook-form';
import { z } from 'zod';
import { markSignedIn } from '@/api/auth';
import { explain } from '@/api/explain';
import { ApiError } from '@/api/http';
import { login } from '@/api/routes';
import { Button, Field, Input } from '@/components';

const formSchema = z.object({
  token: z
    .string()
    .trim()
    .min(1, 'Paste the token.')
    // A header takes no more than this; a pasted line break or quote would be refused without a reason.
    .regex(/^[\x21-\x7e]+$/, 'A token has no spaces and only plain letters, digits and signs.'),
});
type Form = z.infer<typeof formSchema>;

/** Shown when the server doesn’t know this browser. */
export default function Login() {
  const { register, handleSubmit, setError, setFocus, reset, formState } = useForm<Form>({
    resolver: zodResolver(formSchema),
    defaultValues: { token: '' },
  });
  useEffect(() => setFocus('token'), [setFocus]);
  // A link that was used before leads here with what is left of it.
  const spent =
    new URLSearchParams(globalThis.location.search).has('ticket') ||
    globalThis.location.pathname === '/login';

  const submit = handleSubmit(async ({ token }) => {
    try {
      await login(token);
      reset();
      if (spent) globalThis.history.replaceState(null, '', '/');
      markSignedIn();
    } catch (error) {
      const wrong = error instanceof ApiError && (error.status === 401 || error.status === 403);
      setError('token', {
        type: 'server',
        message: wrong ? 'The server doesn’t know this token.' : explain(error),
      });
    }
  });
  return (
    <main className="grid h-full place-items-center overflow-auto bg-page p-4 text-text">
      <div className="w-full max-w-md rounded-lg bg-surface p-6 shadow-focus">
        <h1 className="text-xl font-semibold">Sign in to uOS</h1>
        <p className="mt-2 text-muted">
          {spent ? 'That link has been used already, or is too old. ' : 'This browser isn’t signed in. '}
          <code className="rounded-sm bg-raised px-1 text-text">cargo xtask up</code> prints a fresh link;
          opening it is all it takes. Each link works once.
        </p>
        <form noValidate className="mt-5 flex flex-col gap-3" onSubmit={(event) => void submit(event)}>
          <Field
            label="Or paste the token"
            error={formState.errors.token?.message}
            hint="It is in the file “token” of the server’s data directory."
          >
            {(control) => (
              <Input
                {...control}
                {...register('token')}
                type="password"
                autoComplete="off"
                spellCheck={false}
                mono
              />
            )}
          </Field>
          <Button type="submit" variant="primary" disabled={formState.isSubmitting}>
            {formState.isSubmitting ? 'Signing in…' : 'Sign in'}
          </Button>
        </form>
      </div>
    </main>
  );
}
