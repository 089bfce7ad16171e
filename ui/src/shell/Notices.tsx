import { Bell } from 'lucide-react';
import { useEffect } from 'react';
import { Button, cx, type Notice, useToasts } from '@/components';
import { formatAgo, formatMoment } from '@/format';
import { useShell } from './state';
import { Tray } from './Tray';

const tones: Record<Notice['tone'], string> = {
  info: 'bg-accent-text',
  success: 'bg-success',
  warning: 'bg-warning',
  danger: 'bg-danger',
};

/** What was said while nobody looked. */
export function Notices() {
  const fresh = useToasts((state) => (state.notices[0]?.id ?? 0) > state.seen);
  return (
    <Tray
      name="notices"
      label={fresh ? 'Notifications, some are new' : 'Notifications'}
      icon={Bell}
      marked={fresh}
    >
      <List />
    </Tray>
  );
}

function List() {
  const notices = useToasts((state) => state.notices);
  const markSeen = useToasts((state) => state.markSeen);
  const clear = useToasts((state) => state.clearNotices);
  const open = useShell((state) => state.tray === 'notices');
  // Whatever is said while the list is open is seen, too.
  // biome-ignore lint/correctness/useExhaustiveDependencies: each new notice is seen
  useEffect(() => {
    if (open) markSeen();
  }, [open, notices, markSeen]);
  if (notices.length === 0) return <p className="py-2 text-center text-muted">Nothing has happened yet.</p>;
  return (
    <>
      <div className="mb-1 flex items-center justify-between gap-2">
        <h2 className="font-semibold">Notifications</h2>
        <Button size="sm" variant="ghost" onClick={clear}>
          Clear all
        </Button>
      </div>
      <ul>
        {notices.map((notice) => (
          <li key={notice.id} className="flex gap-3 border-t border-line py-2">
            <span
              aria-hidden="true"
              className={cx('mt-1.5 size-2 shrink-0 rounded-full', tones[notice.tone])}
            />
            <div className="min-w-0 flex-1">
              <p className="break-words">{notice.title}</p>
              {notice.hint ? <p className="text-sm break-words text-muted">{notice.hint}</p> : null}
            </div>
            <span
              className="shrink-0 text-sm whitespace-nowrap text-faint"
              title={formatMoment(notice.at_us)}
            >
              {formatAgo(notice.at_us)}
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}
