import { Command as Palette } from 'cmdk';
import { useCommandList } from '@/commands';
import { AppIcon, Keys } from '@/components';
import type { Desktop } from '@/sync/desktop';
import { useWindowTitles } from '@/windows/store/selectors';
import { useWindows } from '@/windows/store/windows';
import { useShell } from './state';

const item =
  'flex h-9 cursor-default items-center gap-3 rounded-md px-3 text-(--text) data-[selected=true]:bg-(--accent-soft)';
const heading =
  '**:[[cmdk-group-heading]]:px-3 **:[[cmdk-group-heading]]:pt-3 **:[[cmdk-group-heading]]:pb-1 **:[[cmdk-group-heading]]:text-[12px] **:[[cmdk-group-heading]]:font-semibold **:[[cmdk-group-heading]]:text-(--text-muted)';

/** Apps, open windows and commands, found by typing. */
export function Launcher({ desktop }: { desktop: Desktop }) {
  const open = useShell((state) => state.launcher);
  const setOpen = useShell((state) => state.setLauncher);
  return (
    <Palette.Dialog
      open={open}
      onOpenChange={setOpen}
      label="Launcher"
      overlayClassName="fixed inset-0 z-70 bg-(--scrim)"
      contentClassName="fixed bottom-14 left-2 z-75 w-[min(440px,calc(100vw-16px))] overflow-hidden rounded-lg bg-(--overlay) shadow-focus outline-none"
    >
      <div data-testid="launcher">
        {open ? <Found desktop={desktop} done={() => setOpen(false)} /> : null}
      </div>
    </Palette.Dialog>
  );
}

function Found({ desktop, done }: { desktop: Desktop; done: () => void }) {
  const windows = useWindowTitles();
  const commands = useCommandList().filter(
    (command) => !command.keysOnly && (!command.when || command.when()),
  );
  const after = (run: () => void) => () => {
    done();
    run();
  };
  return (
    <>
      <Palette.Input
        autoFocus
        placeholder="Type to find apps, windows and commands"
        className="h-12 w-full border-b border-(--line) bg-transparent px-4 text-[14px] outline-none placeholder:text-(--text-faint)"
      />
      <Palette.List className={`max-h-[min(420px,60vh)] overflow-y-auto p-2 ${heading}`}>
        <Palette.Empty className="px-3 py-6 text-center text-(--text-muted)">
          Nothing is called that.
        </Palette.Empty>
        <Palette.Group heading="Apps">
          {desktop.manifests.map((manifest) => (
            <Palette.Item
              key={manifest.id}
              value={`app ${manifest.id}`}
              keywords={[manifest.title, manifest.description, manifest.category]}
              className={item}
              onSelect={after(() => void desktop.launch(manifest.id))}
            >
              <AppIcon name={manifest.icon} />
              <span className="truncate">{manifest.title}</span>
              <span className="ml-auto truncate text-[12px] text-(--text-faint)">{manifest.category}</span>
            </Palette.Item>
          ))}
        </Palette.Group>
        {windows.length > 0 ? (
          <Palette.Group heading="Windows">
            {windows.map((window) => (
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
            ))}
          </Palette.Group>
        ) : null}
        <Palette.Group heading="Commands">
          {commands.map(({ id, label, icon: Icon, keys, words, run }) => (
            <Palette.Item
              key={id}
              value={`command ${id}`}
              keywords={[label, words ?? '']}
              className={item}
              onSelect={after(run)}
            >
              {Icon ? <Icon size={16} strokeWidth={1.75} aria-hidden /> : <span className="size-4" />}
              <span className="truncate">{label}</span>
              {keys?.[0] ? (
                <span className="ml-auto">
                  <Keys chord={keys[0]} />
                </span>
              ) : null}
            </Palette.Item>
          ))}
        </Palette.Group>
      </Palette.List>
    </>
  );
}
