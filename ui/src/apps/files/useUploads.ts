import { useCallback, useEffect, useRef, useState } from 'react';
import * as ops from './ops';
import { freeName, joinText, type Path } from './path';

/** The file that is being sent, and how many wait behind it. */
export interface Sending {
  name: string;
  sent: number;
  total: number;
  waiting: number;
}

interface Job {
  file: File;
  path: Path;
  pid: number;
}

export interface Uploads {
  sending: Sending | null;
  /** Sends files into a folder, one after the other; none replaces what is there. */
  send: (files: readonly File[], folder: Path, pid: number, isTaken: (name: string) => boolean) => void;
  cancel: () => void;
}

export function useUploads(onFail: (file: File, error: unknown) => void): Uploads {
  const [sending, setSending] = useState<Sending | null>(null);
  const queue = useRef<Job[]>([]);
  const control = useRef<AbortController | null>(null);
  const fail = useRef(onFail);
  useEffect(() => {
    fail.current = onFail;
  });

  const work = useCallback(async () => {
    if (control.current !== null) return;
    for (let job = queue.current.shift(); job !== undefined; job = queue.current.shift()) {
      const { file, path, pid } = job;
      const current = new AbortController();
      control.current = current;
      const show = (sent: number): void =>
        setSending({
          name: file.name,
          // What is sent has a little around it.
          sent: Math.min(sent, file.size),
          total: file.size,
          waiting: queue.current.length,
        });
      show(0);
      try {
        await ops.upload(path, pid, file, { signal: current.signal, onProgress: show });
      } catch (error) {
        if (!current.signal.aborted) fail.current(file, error);
      }
    }
    control.current = null;
    setSending(null);
  }, []);

  const cancel = useCallback(() => {
    queue.current = [];
    control.current?.abort();
  }, []);
  // A window that is closed takes what it was sending with it.
  useEffect(() => cancel, [cancel]);

  const send = useCallback<Uploads['send']>(
    (files, folder, pid, isTaken) => {
      const chosen = new Set<string>();
      for (const file of files) {
        const name = freeName(file.name, (each) => chosen.has(each) || isTaken(each));
        chosen.add(name);
        queue.current.push({ file, path: joinText(folder, name), pid });
      }
      void work();
    },
    [work],
  );
  return { sending, send, cancel };
}
