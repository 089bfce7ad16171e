import { create, toBinary } from '@bufbuild/protobuf';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { markSignedIn, useAuth } from './auth';
import { explain, explainRefusal } from './explain';
import { ExecuteResponseSchema } from './gen/uos/v1/kernel_pb';
import { ApiError, clientId, request } from './http';
import { CallError, callAs } from './kernel';

const answer = (status: number, body: unknown) =>
  vi
    .spyOn(globalThis, 'fetch')
    .mockImplementation(async () =>
      Promise.resolve(new Response(typeof body === 'string' ? body : JSON.stringify(body), { status })),
    );
const schema = z.object({ n: z.number() });

afterEach(() => {
  vi.restoreAllMocks();
  markSignedIn();
});

describe('request', () => {
  it('names the tab, sends JSON and checks the answer', async () => {
    const fetch = answer(200, { n: 1, more: true });
    await expect(
      request('POST', '/x', { schema, body: { a: 1 }, query: { v: 2, none: undefined } }),
    ).resolves.toEqual({ n: 1 });
    const [url, init] = fetch.mock.calls[0] ?? [];
    expect(url).toBe('/x?v=2');
    expect(init).toMatchObject({
      method: 'POST',
      body: '{"a":1}',
      headers: { 'x-uos-client': clientId, 'content-type': 'application/json' },
    });
  });

  it('tells the server’s error with code and detail', async () => {
    answer(409, { error: { code: 'stale_version', message: 'Too late.', detail: { current: 1 } } });
    const error = await request('GET', '/x', { schema }).catch((each: unknown) => each);
    expect(error).toMatchObject({
      status: 409,
      code: 'stale_version',
      message: 'Too late.',
      detail: { current: 1 },
    });
    expect((error as ApiError).transient).toBe(false);
  });

  it('tells an answer that is not what was agreed', async () => {
    answer(200, { n: 'one' });
    await expect(request('GET', '/x', { schema })).rejects.toThrow(/GET \/x is not what was agreed: `n`/);
    answer(200, '<html>');
    await expect(request('GET', '/x', { schema })).rejects.toMatchObject({ code: 'bad_reply' });
    answer(502, 'bad gateway');
    await expect(request('GET', '/x', { schema })).rejects.toMatchObject({ status: 502, transient: true });
  });

  it('leads to the login page on 401, and only then', async () => {
    answer(403, { error: { code: 'forbidden', message: 'No.' } });
    await request('GET', '/x', { schema }).catch(() => undefined);
    expect(useAuth.getState().signedOut).toBe(false);
    answer(401, { error: { code: 'unauthenticated', message: 'Sign in.' } });
    await request('GET', '/x', { schema }).catch(() => undefined);
    expect(useAuth.getState().signedOut).toBe(true);
  });

  it('tells offline', async () => {
    vi.spyOn(globalThis, 'fetch').mockRejectedValue(new TypeError('failed to fetch'));
    await expect(request('GET', '/x', { schema })).rejects.toMatchObject({ status: 0, offline: true });
  });
});

/** One gRPC-web answer: a message, then the trailers. */
function grpcWeb(message: Uint8Array): Response {
  const frame = (flag: number, body: Uint8Array): number[] => [
    flag,
    ...new Uint8Array(new Uint32Array([body.length]).buffer).reverse(),
    ...body,
  ];
  const trailers = new TextEncoder().encode('grpc-status: 0\r\n');
  return new Response(new Uint8Array([...frame(0, message), ...frame(128, trailers)]), {
    headers: { 'content-type': 'application/grpc-web+proto' },
  });
}

describe('callAs', () => {
  it('gives the reply of the call', async () => {
    const fetch = vi.spyOn(globalThis, 'fetch').mockImplementation(async () =>
      grpcWeb(
        toBinary(
          ExecuteResponseSchema,
          create(ExecuteResponseSchema, {
            result: {
              case: 'reply',
              value: { reply: { case: 'readFile', value: { data: new Uint8Array([1, 2]), sizeBytes: 2n } } },
            },
          }),
        ),
      ),
    );
    const reply = await callAs(7)('readFile', { path: '/a' });
    expect([...reply.data]).toEqual([1, 2]);
    expect(String(fetch.mock.calls[0]?.[0])).toMatch(/\/uos\.v1\.Kernel\/Execute$/);
  });

  it('throws the kernel’s error with all it says', async () => {
    vi.spyOn(globalThis, 'fetch').mockImplementation(async () =>
      grpcWeb(
        toBinary(
          ExecuteResponseSchema,
          create(ExecuteResponseSchema, {
            result: {
              case: 'error',
              value: { errno: 13, name: 'EACCES', message: 'no', right: 'fs.write:/etc/x', hint: 'ask' },
            },
          }),
        ),
      ),
    );
    const error = await callAs(7)('writeFile', { path: '/etc/x' }).catch((each: unknown) => each);
    expect(error).toBeInstanceOf(CallError);
    expect(error).toMatchObject({ errno: 13, name: 'EACCES', right: 'fs.write:/etc/x', hint: 'ask', pid: 7 });
  });

  it('tells offline apart from refused', async () => {
    vi.spyOn(globalThis, 'fetch').mockRejectedValue(new TypeError('failed to fetch'));
    const error = await callAs(7)('getUptime', {}).catch((each: unknown) => each);
    expect((error as CallError).offline).toBe(true);
  });
});

describe('explain', () => {
  it('says what may not be done, what is held and what would help', () => {
    const who = { title: 'Notes', grants: ['fs.read:/home/notes/**', 'fs.write:/home/notes/**'] };
    expect(explainRefusal('fs.write:/etc/x', who)).toBe(
      'Notes may not write `/etc/x`: it holds `fs.write:/home/notes/**`. Grant `fs.write:/etc/x` to allow it.',
    );
    expect(explainRefusal('proc.signal', who)).toBe(
      'Notes may not end or signal processes other than its own: it holds no `proc.signal`. Grant `proc.signal` to allow it.',
    );
    expect(explainRefusal('fs.read:/x', { title: 'A' })).toBe(
      'A may not read `/x`. Grant `fs.read:/x` to allow it.',
    );
  });

  it('names the limit that was reached, and the hint', () => {
    const error = new CallError('createPipe', 7, {
      errno: 122,
      name: 'EDQUOT',
      message: 'no more pipes',
      limit: { name: 'pipe_bytes', used: 5n, max: 6n },
      hint: 'close one',
    });
    expect(explain(error)).toBe('No more pipes. The limit `pipe_bytes` is at 5 of 6. Close one.');
    expect(explain(new ApiError(0, 'offline', 'The server can’t be reached.'))).toBe(
      'The server can’t be reached.',
    );
    expect(explain('?')).toMatch(/gives no reason/);
  });
});
