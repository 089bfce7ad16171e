import { Command as Palette, useCommandState } from 'cmdk';
import { File, Folder } from 'lucide-react';
import { Dialog } from 'radix-ui';
import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from 'react';
import { useCommandList } from '@/commands';
import { AppIcon, Keys, ProcessMark, useFocusReturn } from '@/components';
import { type Desktop, setAppState } from '@/sync/desktop';
import { useWindowTitles } from '@/windows/store/selectors';
import { useWindows } from '@/windows/store/windows';
import { type FoundFile, fits, pathOfFound, pick, useFinds, useTypedPath } from './finds';
import { useShell } from './state';

const item =
  'flex h-9 cursor-default items-center gap-3 rounded-md px-3 text-text data-[selected=true]:bg-accent-soft coarse:h-11';
const heading =
  '**:[[cmdk-group-heading]]:px-3 **:[[cmdk-group-heading]]:pt-3 **:[[cmdk-group-heading]]:pb-1 **:[[cmdk-group-heading]]:text-[12px] **:[[cmdk-group-heading]]:font-semibold **:[[cmdk-group-heading]]:text-(--text-muted)';

/** What is meant more often comes first where the words fit both. */
const WEIGHTS: Readonly<Record<string, number>> = { app: 1, window: 0.8, command: 0.7 };

function weigh(value: string, search: string, keywords: readonly string[] = []): number {
  const [kind = '', ...rest] = value.split(' ');
  return fits([...keywords, rest.join(' ')], search) * (WEIGHTS[kind] ?? 0.5);
}

/** Apps, open windows, commands, processes and files, found by typing. */
export function Launcher({ desktop }: { desktop: Desktop }) {
  const open = useShell((state) => state.launcher);
  const setOpen = useShell((state) => state.setLauncher);
  const { remember, onCloseAutoFocus } = useFocusReturn();
  return (
    // It goes at once: whoever calls it again while it fades would find it as they left it, and without the keyboard.
    <Dialog.Root open={open} onOpenChange={setOpen}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-70 animate-fade bg-scrim" />
        <Dialog.Content
          data-testid="launcher"
          aria-describedby={undefined}
          onOpenAutoFocus={remember}
          onCloseAutoFocus={onCloseAutoFocus}
          className="fixed bottom-14 left-2 z-75 w-[min(440px,calc(100vw-16px))] animate-rise overflow-hidden rounded-lg bg-overlay shadow-menu outline-none"
        >
          <Dialog.Title className="sr-only">Launcher</Dialog.Title>
          <Palette label="Launcher" filter={weigh}>
            <Found desktop={desktop} done={() => setOpen(false)} />
          </Palette>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function Found({ desktop, done }: { desktop: Desktop; done: () => void }) {
  const [words, setWords] = useState('');
  const windows = useWindowTitles();
  const finds = useFinds();
  const typed = useTypedPath(words);
  const files = words.startsWith('/') ? (typed ?? []) : pick(finds?.files ?? [], words, (file) => file.name);
  const processes = pick(finds?.processes ?? [], words, ({ name, pid }) => `${name} ${pid}`);
  const commands = useCommandList().filter(
    (command) => !command.keysOnly && (!command.when || command.when()),
  );
  const unlisted = desktop.status === 'loading';
  const looking = unlisted || finds === null || typed === null;
  const { list, onKeyDown } = useEarlyEnter(unlisted, looking);
  const after = (run: () => void) => () => {
    done();
    run();
  };
  const showFile = async (file: FoundFile) => {
    const app = await desktop.launch('files');
    if (app === null) return;
    setAppState(
      app.id,
      file.directory ? { path: pathOfFound(file) } : { path: file.folder, show: file.name },
    );
  };
  const showProcess = async (pid: number) => {
    const app = await desktop.launch('monitor');
    const state = app?.state;
    if (app) setAppState(app.id, { ...(state && typeof state === 'object' ? state : {}), show: pid });
  };
  return (
    <>
      <Palette.Input
        autoFocus
        value={words}
        onValueChange={setWords}
        onKeyDown={onKeyDown}
        placeholder="Find apps, windows, commands, files, processes"
        className="h-12 w-full border-b border-line bg-transparent px-4 text-[14px] outline-none placeholder:text-faint"
      />
      <Palette.List ref={list} className={`max-h-[min(420px,60vh)] overflow-y-auto p-2 ${heading}`}>
        <Palette.Empty className="px-3 py-6 text-center text-muted">
          {looking ? 'Looking…' : 'Nothing is called that.'}
        </Palette.Empty>
        <Group heading="Apps" of={desktop.manifests}>
          {(manifest) => (
            <Palette.Item
              key={manifest.id}
              value={`app ${manifest.id}`}
              keywords={[manifest.title, manifest.description, manifest.category]}
              className={item}
              onSelect={after(() => void desktop.launch(manifest.id))}
            >
              <AppIcon name={manifest.icon} />
              <span className="truncate">{manifest.title}</span>
              <span className="ml-auto truncate text-sm text-muted">{manifest.category}</span>
            </Palette.Item>
          )}
        </Group>
        <Group heading="Windows" of={windows}>
          {(window) => (
            <Palette.Item
              key={window.id}
              value={`window ${window.id}`}
              keywords={[window.title]}
              className={item}
              onSelect={after(() => useWindows.getState().focus(window.id))}
            >
              <AppIcon name={window.icon} />
              <span className="truncate">{window.title}</span>
            </Palette.Item>
          )}
        </Group>
        <Group heading="Files" of={files}>
          {(file) => (
            <Palette.Item
              key={pathOfFound(file)}
              value={`file ${pathOfFound(file)}`}
              className={item}
              onSelect={after(() => void showFile(file))}
            >
              {file.directory ? <Folder {...glyph} /> : <File {...glyph} />}
              <span className="truncate">{file.name}</span>
              <span className="ml-auto max-w-[50%] truncate text-sm text-muted">{file.folder}</span>
            </Palette.Item>
          )}
        </Group>
        <Group heading="Processes" of={processes}>
          {({ pid, name }) => (
            <Palette.Item
              key={pid}
              value={`process ${name} ${pid}`}
              className={item}
              onSelect={after(() => void showProcess(pid))}
            >
              <span className="grid size-4 place-items-center">
                <ProcessMark pid={pid} />
              </span>
              <span className="truncate">{name}</span>
              <span className="ml-auto font-mono text-sm text-muted">{pid}</span>
            </Palette.Item>
          )}
        </Group>
        <Group heading="Commands" of={commands}>
          {({ id, label, icon: Icon, keys, words: more, run }) => (
            <Palette.Item
              key={id}
              value={`command ${id}`}
              keywords={[label, more ?? '']}
              className={item}
              onSelect={after(run)}
            >
              {Icon ? <Icon {...glyph} /> : <span className="size-4" />}
              <span className="truncate">{label}</span>
              {keys?.[0] ? (
                <span className="ml-auto">
                  <Keys chord={keys[0]} />
                </span>
              ) : null}
            </Palette.Item>
          )}
        </Group>
      </Palette.List>
    </>
  );
}

/** Enter that is pressed before what is meant has come is not lost: the best is chosen as soon as all is there,
 *  unless another key comes first. Apps rank first, so nothing else is chosen before they are `unlisted` no more. */
function useEarlyEnter(unlisted: boolean, looking: boolean) {
  const list = useRef<HTMLDivElement>(null);
  const early = useRef(false);
  const nothing = useCommandState((state) => state.filtered.count === 0);
  useEffect(() => {
    if (looking || !early.current) return;
    // The palette sorts what has come after this.
    const timer = setTimeout(() => {
      if (early.current) list.current?.querySelector<HTMLElement>('[cmdk-item]')?.click();
      early.current = false;
    });
    return () => clearTimeout(timer);
  }, [looking]);
  const onKeyDown = (event: KeyboardEvent) => {
    early.current =
      event.key === 'Enter' && !event.nativeEvent.isComposing && (unlisted || (looking && nothing));
    if (early.current) event.preventDefault();
  };
  return { list, onKeyDown };
}

const glyph = { size: 16, strokeWidth: 1.75, 'aria-hidden': true, className: 'shrink-0' } as const;

function Group<T>(props: { heading: string; of: readonly T[]; children: (each: T) => ReactNode }) {
  if (props.of.length === 0) return null;
  return <Palette.Group heading={props.heading}>{props.of.map(props.children)}</Palette.Group>;
}
