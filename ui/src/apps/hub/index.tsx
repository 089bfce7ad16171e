import { Play, Plus, Search, ShieldCheck, Trash2 } from 'lucide-react';
import { useDeferredValue, useEffect, useMemo, useState } from 'react';
import { useShallow } from 'zustand/shallow';
import { explain } from '@/api/explain';
import type { Manifest } from '@/api/manifest';
import { putManifest, removeManifest } from '@/api/routes';
import {
  AppIcon,
  Button,
  cx,
  EmptyState,
  ErrorState,
  IconButton,
  Input,
  ProcessMark,
  SkeletonRows,
  toast,
} from '@/components';
import { close, launch, reloadManifests, retryDesktop, useDesktopStore } from '@/sync/desktop';
import { useWindows } from '@/windows/store/windows';
import type { AppProps } from '../contract';
import { grantsOf, loadServices, useServices } from '../who';
import { AddDialog } from './AddDialog';

function matches(manifest: Manifest, words: string): boolean {
  const text = `${manifest.title} ${manifest.description} ${manifest.category} ${manifest.id}`.toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** All the apps there are: to find, to start, to add, to remove. */
export default function Hub({ state, setState }: AppProps) {
  const { manifests, status, error } = useDesktopStore(
    useShallow((store) => ({ manifests: store.manifests, status: store.status, error: store.error })),
  );
  const saved = state !== null && typeof state === 'object' && !Array.isArray(state) ? state : {};
  const [words, setWords] = useState(typeof saved.search === 'string' ? saved.search : '');
  const [open, setOpen] = useState<string | null>(null);
  const [adding, setAdding] = useState(false);
  const search = useDeferredValue(words.trim());
  const found = useMemo(() => manifests.filter((manifest) => matches(manifest, search)), [manifests, search]);

  useEffect(() => {
    void loadServices().catch(() => undefined);
  }, []);

  return (
    <div className="@container flex h-full min-h-0 flex-col bg-surface">
      <div className="flex items-center gap-2 border-b border-line px-3 py-2">
        <div className="relative min-w-0 flex-1">
          <Search
            size={16}
            strokeWidth={1.75}
            aria-hidden="true"
            className="pointer-events-none absolute top-2 left-2.5 text-faint"
          />
          <Input
            type="search"
            aria-label="Search apps"
            placeholder="Search apps"
            value={words}
            className="pl-8"
            onChange={(event) => {
              setWords(event.target.value);
              setState({ ...saved, search: event.target.value });
            }}
            onKeyDown={(event) => {
              const first = found[0];
              if (event.key === 'Enter' && first !== undefined) void launch(first.id);
            }}
          />
        </div>
        <Button icon={Plus} onClick={() => setAdding(true)}>
          Add an app
        </Button>
      </div>
      <div className="min-h-0 flex-1 overflow-auto">
        {manifests.length === 0 && status === 'loading' ? (
          <SkeletonRows />
        ) : manifests.length === 0 && status !== 'ready' ? (
          <ErrorState title="The apps can’t be listed." hint={error} retry={retryDesktop} />
        ) : found.length === 0 ? (
          <EmptyState
            icon={Search}
            title={search === '' ? 'There are no apps yet.' : `No app is called or does “${search}”.`}
            action={
              search === '' ? (
                <Button onClick={() => setAdding(true)}>Add an app</Button>
              ) : (
                <Button onClick={() => setWords('')}>Show all</Button>
              )
            }
          />
        ) : (
          <ul aria-label="Apps">
            {found.map((manifest) => (
              <AppRow
                key={manifest.id}
                manifest={manifest}
                open={open === manifest.id}
                onToggle={() => setOpen(open === manifest.id ? null : manifest.id)}
              />
            ))}
          </ul>
        )}
      </div>
      {adding ? <AddDialog onClose={() => setAdding(false)} /> : null}
    </div>
  );
}

function AppRow(props: { manifest: Manifest; open: boolean; onToggle: () => void }) {
  const { manifest, open, onToggle } = props;
  const running = useDesktopStore(
    useShallow((store) => Object.values(store.apps).filter((app) => app.manifest_id === manifest.id)),
  );
  const [busy, setBusy] = useState(false);
  const details = `hub-${manifest.id}`;
  const start = (): void => {
    setBusy(true);
    void launch(manifest.id).finally(() => setBusy(false));
  };
  const remove = (): void => {
    removeManifest(manifest.id)
      .then(() => {
        reloadManifests();
        const { built_in: _own, ...draft } = manifest;
        toast({
          title: `${manifest.title} was removed.`,
          action: {
            label: 'Undo',
            run: () =>
              void putManifest(draft as Parameters<typeof putManifest>[0])
                .then(reloadManifests)
                .catch((error: unknown) =>
                  toast({
                    tone: 'danger',
                    title: `${manifest.title} could not be brought back.`,
                    hint: explain(error),
                  }),
                ),
          },
        });
      })
      .catch((error: unknown) =>
        toast({ tone: 'danger', title: `${manifest.title} could not be removed.`, hint: explain(error) }),
      );
  };
  return (
    <li className="border-b border-line/60">
      <div className="flex items-center gap-3 px-3 py-2">
        <span className="grid size-9 shrink-0 place-items-center rounded-md bg-raised text-accent-text">
          <AppIcon name={manifest.icon} size={20} />
        </span>
        <div className="min-w-0 flex-1">
          <p className="truncate font-medium">
            {manifest.title}
            {running.length > 0 ? (
              <span className="ml-2 text-sm font-normal text-success">running</span>
            ) : null}
          </p>
          <p className="truncate text-sm text-muted" title={manifest.description}>
            {manifest.description === '' ? manifest.category : manifest.description}
          </p>
        </div>
        <IconButton
          label={`What ${manifest.title} asks for`}
          icon={ShieldCheck}
          aria-expanded={open}
          aria-controls={open ? details : undefined}
          onClick={onToggle}
        />
        {manifest.built_in ? null : (
          <IconButton
            label={`Remove ${manifest.title}`}
            icon={Trash2}
            tone="danger"
            className="hidden @min-[360px]:inline-flex"
            onClick={remove}
          />
        )}
        <Button icon={Play} aria-label={`Open ${manifest.title}`} onClick={start} disabled={busy}>
          <span className="hidden @min-[420px]:inline">Open</span>
        </Button>
      </div>
      {open ? <Asks id={details} manifest={manifest} /> : null}
      {running.length > 0 ? (
        <ul aria-label={`Running ${manifest.title}`} className="pb-2 pl-15 text-sm">
          {running.map((app) => (
            <li key={app.id} className="flex items-center gap-2 pr-3">
              <ProcessMark pid={app.pid} />
              <button
                type="button"
                onClick={() => useWindows.getState().focus(app.window_id)}
                className="min-h-8 min-w-0 truncate rounded-sm hover:underline"
              >
                {app.title}
              </button>
              <span className="font-mono text-muted">{app.pid === null ? 'ended' : app.pid}</span>
              <Button
                size="sm"
                variant="ghost"
                className="ml-auto"
                aria-label={`Close ${app.title}`}
                onClick={() => void close(app.id)}
              >
                Close
              </Button>
            </li>
          ))}
        </ul>
      ) : null}
    </li>
  );
}

function Asks({ id, manifest }: { id: string; manifest: Manifest }) {
  const services = useServices((store) => store.services);
  const grants = grantsOf(manifest, services);
  const nothing = manifest.services.length === 0 && manifest.grants.length === 0;
  return (
    <div id={id} className="mx-3 mb-2 rounded-md bg-raised px-3 py-2 text-sm">
      {nothing ? <p>It asks for nothing: it can’t touch files, processes or the network.</p> : null}
      {manifest.services.map((name) => {
        const service = services?.find((each) => each.name === name);
        return (
          <p key={name}>
            <span className="font-medium">{name}</span>
            <span className="text-muted"> {service?.description ?? ''}</span>
          </p>
        );
      })}
      {grants !== null && grants.length > 0 ? (
        <ul aria-label="Rights" className={cx(manifest.services.length > 0 && 'mt-1')}>
          {grants.map((grant) => (
            <li key={grant} className="break-all">
              <code>{grant}</code>
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}
