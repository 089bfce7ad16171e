import { X } from 'lucide-react';
import { IconButton } from '@/components';
import { formatPercent, formatSize } from '@/format';
import type { Sending } from './useUploads';

/** How far an upload has come. */
export function Progress({ sending, onCancel }: { sending: Sending; onCancel: () => void }) {
  const { name, sent, total, waiting } = sending;
  const share = total === 0 ? 1 : sent / total;
  return (
    <div className="flex items-center gap-3 border-t border-line px-3 py-1">
      <div className="min-w-0 flex-1">
        <p className="flex justify-between gap-3 text-sm">
          <span className="truncate">
            Uploading “{name}”{waiting > 0 ? `, ${waiting} more after it` : ''}
          </span>
          <span className="shrink-0 text-muted tabular">
            {formatSize(sent)} of {formatSize(total)}, {formatPercent(share)}
          </span>
        </p>
        <div
          role="progressbar"
          aria-label={`Uploading ${name}`}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.round(share * 100)}
          className="mt-1 h-1 overflow-hidden rounded-full bg-active"
        >
          <div
            className="h-full origin-left bg-accent-text"
            style={{ transform: `scaleX(${share.toFixed(4)})` }}
          />
        </div>
      </div>
      <IconButton label="Cancel the upload" icon={X} onClick={onCancel} />
    </div>
  );
}
