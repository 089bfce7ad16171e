export interface LimitReached {
  name: string;
  used: bigint;
  max: bigint;
}

/** A call that the kernel refused, or that never got to it (`name` is then `OFFLINE`). */
export class CallError extends Error {
  readonly errno: number;
  override readonly name: string;
  /** The right that was missing, as a grant would give it. */
  readonly right: string | null;
  readonly limit: LimitReached | null;
  readonly hint: string;
  readonly call: string;
  readonly pid: number;

  constructor(
    call: string,
    pid: number,
    from: {
      errno: number;
      name: string;
      message: string;
      right?: string | undefined;
      limit?: LimitReached | undefined;
      hint?: string;
    },
  ) {
    super(from.message);
    this.call = call;
    this.pid = pid;
    this.errno = from.errno;
    this.name = from.name;
    this.right = from.right ?? null;
    this.limit = from.limit ?? null;
    this.hint = from.hint ?? '';
  }

  get offline(): boolean {
    return this.name === 'OFFLINE';
  }
}
