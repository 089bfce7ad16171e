import { SandboxLevel } from '@/api/gen/uos/v1/common_pb';

/** What people call the levels of isolation. */
export const LEVELS: Readonly<Record<SandboxLevel, string>> = {
  [SandboxLevel.UNSPECIFIED]: 'standard',
  [SandboxLevel.MINIMAL]: 'minimal',
  [SandboxLevel.STANDARD]: 'standard',
  [SandboxLevel.PRIVILEGED]: 'privileged',
};
