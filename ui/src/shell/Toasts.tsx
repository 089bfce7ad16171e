import { X } from 'lucide-react';
import { useEffect } from 'react';
import { Button, cx, IconButton, type Toast, useToasts } from '@/components';
import { useRequests } from '@/requests/store';
import { useShell } from './state';

const tones = {
  info: 'before:bg-(--accent)',
  success: 'before:bg-(--success)',
  warning: 'before:bg-(--warning)',
  danger: 'before:bg-(--danger)',
} as const;

/** What happened, beside the clock. */
export function Toasts() {
  const toasts = useToasts((state) => state.toasts);
  const tray = useShell((state) => state.tray !== null);
  const asked = useRequests((state) => state.asked.length > 0 && state.putOff === null);
  return (
    <div
      role="status"
      aria-live="polite"
      className={cx(
        'pointer-events-none fixed z-90 flex w-[min(360px,calc(100vw-24px))] flex-col gap-2',
        // Out of the way of what is open over the taskbar.
        tray || asked ? 'bottom-15 left-3 max-sm:top-3 max-sm:bottom-auto' : 'right-3 bottom-15',
      )}
    >
      {toasts.map((toast) => (
        <Item key={toast.id} toast={toast} />
      ))}
    </div>
  );
}

function Item({ toast }: { toast: Toast }) {
  const dismiss = useToasts((state) => state.dismiss);
  useEffect(() => {
    if (!Number.isFinite(toast.ms) || toast.ms <= 0) return;
    const timer = setTimeout(() => dismiss(toast.id), toast.ms);
    return () => clearTimeout(timer);
  }, [toast, dismiss]);
  const { action } = toast;
  return (
    <div
      className={cx(
        'pointer-events-auto relative flex animate-rise items-start gap-2 overflow-hidden rounded-md bg-(--overlay) py-2 pr-2 pl-4 shadow-focus',
        'before:absolute before:inset-y-0 before:left-0 before:w-1',
        tones[toast.tone],
      )}
    >
      <div className="min-w-0 flex-1 py-1 break-words">
        <p className="font-semibold">{toast.title}</p>
        {toast.hint ? <p className="text-[12px] text-(--text-muted)">{toast.hint}</p> : null}
      </div>
      {action ? (
        <Button
          size="sm"
          onClick={() => {
            dismiss(toast.id);
            action.run();
          }}
        >
          {action.label}
        </Button>
      ) : null}
      <IconButton label="Dismiss" icon={X} size={28} iconSize={14} onClick={() => dismiss(toast.id)} />
    </div>
  );
}
