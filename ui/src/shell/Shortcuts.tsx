import { useCommandList } from '@/commands';
import { Dialog, Keys } from '@/components';
import { useShell } from './state';

/** Every chord there is. Two for one command: the second is for when the browser or the system keeps the first. */
export function Shortcuts() {
  const open = useShell((state) => state.shortcuts);
  const setOpen = useShell((state) => state.setShortcuts);
  const commands = useCommandList().filter((command) => (command.keys ?? []).length > 0);
  const groups = [...new Set(commands.map((command) => command.group))];
  return (
    <Dialog
      open={open}
      onOpenChange={setOpen}
      title="Keyboard shortcuts"
      description="Where there are two, the second is for when the browser or the system keeps the first."
      width={720}
    >
      <div data-testid="shortcuts" className="columns-1 gap-6 sm:columns-2">
        {groups.map((group) => (
          <section key={group} className="mb-4 break-inside-avoid">
            <h3 className="mb-1 text-[12px] font-semibold text-(--text-muted)">{group}</h3>
            <dl>
              {commands
                .filter((command) => command.group === group)
                .map((command) => (
                  <div key={command.id} className="flex items-start justify-between gap-3 py-1">
                    <dt className="min-w-0">
                      {command.label}
                      {command.note ? (
                        <span className="block text-[12px] text-(--text-faint)">{command.note}</span>
                      ) : null}
                    </dt>
                    <dd className="flex shrink-0 flex-col items-end gap-1">
                      {(command.keys ?? []).map((chord) => (
                        <Keys key={chord} chord={chord} />
                      ))}
                    </dd>
                  </div>
                ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
