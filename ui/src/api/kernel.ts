import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Interceptor } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-web';
import { markSignedOut } from './auth';
import { CallError } from './call-error';
import { type Call, CallSchema, type Reply } from './gen/uos/v1/calls_pb';
import type { Error as WireError } from './gen/uos/v1/common_pb';
import { type ExecuteResponse, Kernel } from './gen/uos/v1/kernel_pb';
import { CLIENT_HEADER, clientId } from './http';
import { deadline } from './parked';

type CallOneof = Exclude<MessageInitShape<typeof CallSchema>['call'], undefined>;

export { CallError, type LimitReached } from './call-error';

/** The name of a call, as in `readFile`. */
export type CallName = Exclude<Call['call']['case'], undefined>;
/** What a call is given. */
export type CallArgs<N extends CallName> =
  Extract<CallOneof, { case: N }> extends { value: infer V } ? V : never;
/** What a call gives. */
export type CallReply<N extends CallName> =
  Extract<Reply['reply'], { case: N }> extends { value: infer V } ? V : never;

export interface CallOptions {
  signal?: AbortSignal;
  timeoutMs?: number;
}

/** Makes calls as one process. */
export interface Caller {
  readonly pid: number;
  /** Makes one call; throws CallError when the kernel refuses. */
  <N extends CallName>(name: N, args: CallArgs<N>, options?: CallOptions): Promise<CallReply<N>>;
  /** Makes the same call many times in one round trip; failures stand in their places. */
  many<N extends CallName>(
    name: N,
    args: readonly CallArgs<N>[],
    options?: CallOptions,
  ): Promise<(CallReply<N> | CallError)[]>;
}

const names: Interceptor = (next) => (request) => {
  request.header.set(CLIENT_HEADER, clientId);
  return next(request);
};

const transport = createGrpcWebTransport({
  baseUrl: globalThis.location?.origin ?? '/',
  interceptors: [names],
  // The login cookie goes along; looked up late, so that tests can put their own in its place.
  fetch: (input, init) => globalThis.fetch(input, { ...init, credentials: 'same-origin' }),
});
const client = createClient(Kernel, transport);

const TIMEOUT_MS = 30_000;

/** Sends calls of one process, and gives them up if nothing comes of them for too long. */
async function send<T>(
  name: string,
  pid: number,
  options: CallOptions | undefined,
  made: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { signal, isOver, clear } = deadline(pid, options?.timeoutMs ?? TIMEOUT_MS, options?.signal);
  try {
    return await made(signal);
  } catch (error) {
    throw isOver() ? unreachable(name, pid) : fromTransport(name, pid, error);
  } finally {
    clear();
  }
}

function fromWire(call: string, pid: number, error: WireError): CallError {
  return new CallError(call, pid, {
    errno: error.errno,
    name: error.name,
    message: error.message,
    right: error.right,
    limit: error.limit,
    hint: error.hint,
  });
}

/** What went wrong on the way, which is nothing the kernel said. */
function fromTransport(call: string, pid: number, error: unknown): CallError {
  const cause = ConnectError.from(error);
  if (cause.code === Code.Unauthenticated) {
    markSignedOut();
    return new CallError(call, pid, { errno: 13, name: 'EACCES', message: 'You are signed out.' });
  }
  if (cause.code === Code.Canceled) {
    return new CallError(call, pid, { errno: 125, name: 'ECANCELED', message: 'The call was given up.' });
  }
  if (cause.code === Code.Unimplemented) {
    return new CallError(call, pid, {
      errno: 38,
      name: 'ENOSYS',
      message: `This server has no call ${call}.`,
    });
  }
  if (cause.code === Code.InvalidArgument || cause.code === Code.PermissionDenied) {
    return new CallError(call, pid, { errno: 22, name: 'EINVAL', message: cause.rawMessage });
  }
  return unreachable(call, pid);
}

function unreachable(call: string, pid: number): CallError {
  return new CallError(call, pid, { errno: 113, name: 'OFFLINE', message: 'The server can’t be reached.' });
}

function take<N extends CallName>(
  name: N,
  pid: number,
  result: ExecuteResponse['result'],
): CallReply<N> | CallError {
  if (result.case === 'error') return fromWire(name, pid, result.value);
  if (result.case === 'reply' && result.value.reply.case === name) {
    return result.value.reply.value as CallReply<N>;
  }
  return new CallError(name, pid, {
    errno: 38,
    name: 'ENOSYS',
    message: `The server’s answer to ${name} is one this desktop doesn’t know.`,
  });
}

function callOf<N extends CallName>(name: N, args: CallArgs<N>): Call {
  return create(CallSchema, { call: { case: name, value: args } as CallOneof });
}

/** Calls made as a process; 0 is the system itself, for System Monitor and Settings. */
export function callAs(pid: number): Caller {
  const one = async <N extends CallName>(
    name: N,
    args: CallArgs<N>,
    options?: CallOptions,
  ): Promise<CallReply<N>> => {
    const answer = await send(name, pid, options, (signal) =>
      client.execute({ pid: BigInt(pid), call: callOf(name, args) }, { signal }),
    );
    const taken = take(name, pid, answer.result);
    if (taken instanceof CallError) throw taken;
    return taken;
  };
  const many = async <N extends CallName>(
    name: N,
    args: readonly CallArgs<N>[],
    options?: CallOptions,
  ): Promise<(CallReply<N> | CallError)[]> => {
    const taken: (CallReply<N> | CallError)[] = [];
    // The kernel takes at most 1,000 calls at a time.
    for (let from = 0; from < args.length; from += 500) {
      const part = args.slice(from, from + 500);
      const answer = await send(name, pid, options, (signal) =>
        client.executeBatch(
          { pid: BigInt(pid), calls: part.map((value) => callOf(name, value)) },
          { signal },
        ),
      );
      if (answer.error !== undefined) throw fromWire(name, pid, answer.error);
      for (const result of answer.results) taken.push(take(name, pid, result.result));
    }
    return taken;
  };
  return Object.assign(one, { pid, many }) as Caller;
}
