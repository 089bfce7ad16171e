import { z } from 'zod';
import { markSignedOut } from './auth';

/** A name for this tab, so that it can tell its own changes from those of others. */
export const clientId: string = crypto.randomUUID();

/** The header the name is sent in. */
export const CLIENT_HEADER = 'x-uos-client';

const TIMEOUT_MS = 15_000;

/** What the server said went wrong. `status` 0 means it could not be reached. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly code: string;
  readonly detail: unknown;

  constructor(status: number, code: string, message: string, detail: unknown = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.detail = detail;
  }

  /** The server could not be reached, or is not up to answering: trying again may help. */
  get transient(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }

  get offline(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

const errorSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), detail: z.unknown().optional() }),
});

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export interface RequestOptions<S extends z.ZodType> {
  schema: S;
  /** Sent as JSON. */
  body?: unknown;
  query?: Record<string, string | number | boolean | undefined>;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Let the request outlive the page. */
  keepalive?: boolean;
}

/** For answers that say nothing. */
export const nothing = z.unknown().transform(() => undefined);

function withQuery(path: string, query: RequestOptions<z.ZodType>['query']): string {
  if (query === undefined) return path;
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) search.set(key, String(value));
  }
  const text = search.toString();
  return text === '' ? path : `${path}?${text}`;
}

/** Reads the server's error out of an answer that is not a success. */
export async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  let body: unknown = null;
  try {
    body = JSON.parse(text);
  } catch {
    // Not JSON: a proxy, or something between us and the server.
  }
  const parsed = errorSchema.safeParse(body);
  if (!parsed.success) {
    const what = response.statusText === '' ? 'no reason given' : response.statusText;
    return new ApiError(response.status, 'http', `The server answered ${response.status} (${what}).`);
  }
  const { code, message, detail } = parsed.data.error;
  return new ApiError(response.status, code, message, detail ?? null);
}

/** Makes one HTTP request and checks the shape of the answer. */
export async function request<S extends z.ZodType>(
  method: Method,
  path: string,
  options: RequestOptions<S>,
): Promise<z.output<S>> {
  const headers: Record<string, string> = { [CLIENT_HEADER]: clientId, accept: 'application/json' };
  const init: RequestInit = { method, headers, credentials: 'same-origin', cache: 'no-store' };
  if (options.body !== undefined) {
    headers['content-type'] = 'application/json';
    init.body = JSON.stringify(options.body);
  }
  Object.assign(headers, options.headers);
  if (options.keepalive === true) init.keepalive = true;
  else {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    init.signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
  }

  let response: Response;
  let text: string;
  try {
    response = await fetch(withQuery(path, options.query), init);
    text = response.ok ? await response.text() : '';
  } catch (error) {
    if (options.signal?.aborted === true) throw error;
    if (error instanceof DOMException && error.name === 'TimeoutError') {
      throw new ApiError(0, 'timeout', 'The server took longer than 15 seconds to answer.');
    }
    throw new ApiError(0, 'offline', 'The server can’t be reached.');
  }
  if (response.status === 401) {
    markSignedOut();
    throw await errorOf(response);
  }
  if (!response.ok) throw await errorOf(response);

  let body: unknown = null;
  if (text !== '') {
    try {
      body = JSON.parse(text);
    } catch {
      throw new ApiError(
        response.status,
        'bad_reply',
        `The server’s answer to ${method} ${path} is not JSON.`,
      );
    }
  }
  const parsed = options.schema.safeParse(body);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const place = issue === undefined || issue.path.length === 0 ? 'it' : `\`${issue.path.join('.')}\``;
    throw new ApiError(
      response.status,
      'bad_reply',
      `The server’s answer to ${method} ${path} is not what was agreed: ${place} ${issue?.message ?? ''}`.trim(),
    );
  }
  return parsed.data;
}
