import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-web';
import { CallSchema } from '../src/api/gen/uos/v1/calls_pb';
import { SandboxLevel } from '../src/api/gen/uos/v1/common_pb';
import { Kernel } from '../src/api/gen/uos/v1/kernel_pb';
import type { Server } from './server';

type CallOf = MessageInitShape<typeof CallSchema>['call'];

/** A client that is who its token says. */
function clientOf(server: Server, token: string) {
  const transport = createGrpcWebTransport({
    baseUrl: server.url,
    interceptors: [
      (next) => (request) => {
        request.header.set('authorization', `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  return createClient(Kernel, transport);
}

function callsOf(server: Server, token: string) {
  const client = clientOf(server, token);
  return async (call: CallOf, signal?: AbortSignal) => {
    const answer = await client.execute(
      { call: create(CallSchema, call === undefined ? {} : { call }) },
      signal === undefined ? {} : { signal },
    );
    if (answer.result.case === 'error')
      throw new Error(`${answer.result.value.name}: ${answer.result.value.message}`);
    return answer.result.value;
  };
}

/** Calls from outside the browser, as the operator. */
export function kernelOf(server: Server) {
  return callsOf(server, server.token);
}

/** A process of its own, with just these grants, and calls from outside the browser as that. */
export async function processOf(server: Server, name: string, grants: string[], parent = 0) {
  const made = await clientOf(server, server.token).createProcess({
    name,
    grants,
    sandboxLevel: SandboxLevel.MINIMAL,
    pid: BigInt(parent),
  });
  if (made.error) throw new Error(`${made.error.name}: ${made.error.message}`);
  return { pid: Number(made.pid), call: callsOf(server, made.token) };
}
