import { type LucideIcon, ShieldAlert, ShieldCheck, ShieldOff } from 'lucide-react';
import { lazy, Suspense, useState } from 'react';
import { builtinOf } from '@/api/app';
import { IconButton, Popover, SkeletonRows } from '@/components';
import { useDesktopStore } from '@/sync/desktop';
import { actsAsSystem } from './system';

const ShieldPanel = lazy(() => import('./ShieldPanel'));

/** enforced: its rights bind it; weakened: it also acts as the system; none: there is no process to bind. */
export type Trust = 'enforced' | 'weakened' | 'none';

const looks: Record<Trust, { icon: LucideIcon; says: string; tone: string }> = {
  enforced: { icon: ShieldCheck, says: 'its rights are enforced', tone: '' },
  weakened: { icon: ShieldAlert, says: 'it may do everything', tone: 'text-warning!' },
  none: { icon: ShieldOff, says: 'it has no process', tone: 'text-faint!' },
};

/** In the title bar: whether an app is held to its rights, and which those are. */
export function Shield({ appId }: { appId: string }) {
  const [open, setOpen] = useState(false);
  const title = useDesktopStore((state) => state.apps[appId]?.title ?? '');
  const trust = useDesktopStore((state): Trust => {
    const app = state.apps[appId];
    if (app === undefined || app.pid === null) return 'none';
    return actsAsSystem(builtinOf(app.ui_spec)) ? 'weakened' : 'enforced';
  });
  const { icon, says, tone } = looks[trust];
  return (
    <Popover
      open={open}
      onOpenChange={setOpen}
      label={`What ${title} may do`}
      width={380}
      text
      trigger={
        <IconButton
          label={`What ${title} may do: ${says}`}
          icon={icon}
          iconSize={14}
          data-trust={trust}
          className={`rounded-[5px] coarse:size-11! ${tone}`}
        />
      }
    >
      <Suspense fallback={<SkeletonRows rows={3} />}>
        <ShieldPanel appId={appId} trust={trust} />
      </Suspense>
    </Popover>
  );
}
