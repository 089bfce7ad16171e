import type { RunningApp } from '@/api/app';
import type { Json } from '@/api/json';
import type { Caller } from '@/api/kernel';

/** What every app is given, whether built in or described as data. */
export interface AppProps {
  app: RunningApp;
  /** Its process; null once that has ended. */
  pid: number | null;
  /** Makes calls as the app’s process. */
  call: Caller;
  /** The app’s own state: survives the tab, the browser and the server. */
  state: Json;
  setState: (next: Json) => void;
  /** Starts another app as a child of this one. */
  launch: (manifestId: string) => Promise<RunningApp | null>;
}
