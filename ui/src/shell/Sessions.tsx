import { Layers } from 'lucide-react';
import { SessionsMenu } from '@/sync/sessions';
import { Tray } from './Tray';

/** Saved desktops, behind a button of the taskbar. */
export function Sessions() {
  return (
    <Tray name="sessions" label="Sessions" icon={Layers}>
      <SessionsMenu />
    </Tray>
  );
}
