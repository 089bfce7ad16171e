import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-web';
import { CallSchema } from '../src/api/gen/uos/v1/calls_pb';
import { Kernel } from '../src/api/gen/uos/v1/kernel_pb';
import type { Server } from './server';

/** Calls from outside the browser, as the operator. */
export function kernelOf(server: Server) {
  const transport = createGrpcWebTransport({
    baseUrl: server.url,
    interceptors: [
      (next) => (request) => {
        request.header.set('authorization', `Bearer ${server.token}`);
        return next(request);
      },
    ],
  });
  const client = createClient(Kernel, transport);
  return async (call: MessageInitShape<typeof CallSchema>['call']) => {
    const answer = await client.execute({ call: create(CallSchema, call === undefined ? {} : { call }) });
    if (answer.result.case === 'error')
      throw new Error(`${answer.result.value.name}: ${answer.result.value.message}`);
    return answer.result.value;
  };
}
