/** Whether a call of a process waits for a person's answer, so that the time it takes says nothing about the server. */
type Waits = (pid: number) => boolean;

let waits: Waits = () => false;

/** Who follows the requests says how to know. */
export function tellWaiting(known: Waits): void {
  waits = known;
}

export function isParked(pid: number): boolean {
  return waits(pid);
}

/** Gives up after a while, but never while the process waits for an answer: then the while begins again. */
export function deadline(pid: number, ms: number, signal?: AbortSignal): Deadline {
  const control = new AbortController();
  let over = false;
  const check = (): void => {
    if (isParked(pid)) timer = setTimeout(check, ms);
    else {
      over = true;
      control.abort();
    }
  };
  let timer = setTimeout(check, ms);
  return {
    signal: signal === undefined ? control.signal : AbortSignal.any([signal, control.signal]),
    isOver: () => over,
    clear: () => clearTimeout(timer),
  };
}

export interface Deadline {
  signal: AbortSignal;
  /** Whether it is this that has aborted. */
  isOver: () => boolean;
  clear: () => void;
}
