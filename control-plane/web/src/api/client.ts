/**
 * Calls to `/api/v1`, typed by the API's own document (schema.d.ts). A call answers its body or throws an `ApiError`
 * that pages can explain (errors.ts).
 */
import type { components, paths } from './schema';

export type Schemas = components['schemas'];
export type Video = Schemas['Video'];
export type MyVideo = Schemas['MyVideo'];
export type Live = Schemas['Live'];
export type MyLive = Schemas['MyLive'];
export type Instance = Schemas['Instance'];
export type Session = Schemas['Session'];
export type User = Schemas['User'];
export type Profile = Schemas['Profile'];
export type StreamKey = Schemas['StreamKey'];
export type Failure = Schemas['Failure'];

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
type Operation<P extends keyof paths, M extends Method> = paths[P] extends Record<M, infer O> ? O : never;
type Json<R> = R extends { content: { 'application/json': infer J } } ? J : undefined;
type Answer<O> = O extends { responses: infer R } ? Json<R[Extract<keyof R, 200 | 201 | 204>]> : never;
type Body<O> = O extends { requestBody: { content: { 'application/json': infer B } } } ? { body: B } : { body?: undefined };
type Parameters<O, Kind extends 'path' | 'query'> = O extends { parameters: Record<Kind, infer V> } ? { [K in Kind]: V } : { [K in Kind]?: never };
type Query<O> = O extends { parameters: { query?: infer Q } } ? { query?: Q } : { query?: undefined };
export type CallOptions<O> = Body<O> & Parameters<O, 'path'> & Query<O> & { signal?: AbortSignal };

/** No answer in this time means that something on the way is stuck; the caller may try again. */
const timeoutMs = 20_000;

export class ApiError extends Error {
  /** @param code  one of the operation's codes, or `offline`, `timeout`, `bad_answer` when no answer of the API came. */
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryAfterS?: number,
  ) {
    super(message);
  }
}

let csrf: string | null = null;
let onSignedOut = (): void => {};

/** The session's token for calls that change something; null when signed out. */
export function setCsrf(token: string | null): void {
  csrf = token;
}
export function csrfHeaders(): Record<string, string> {
  return csrf ? { 'X-Csrf-Token': csrf } : {};
}
/** Called when the API says that there is no session any more. */
export function whenSignedOut(callback: () => void): void {
  onSignedOut = callback;
}

export async function call<P extends keyof paths, M extends Method>(
  method: M,
  path: P,
  ...[options]: Record<string, never> extends CallOptions<Operation<P, M>>
    ? [options?: CallOptions<Operation<P, M>>]
    : [options: CallOptions<Operation<P, M>>]
): Promise<Answer<Operation<P, M>>> {
  const plain: Plain = (options ?? {}) as Plain;
  try {
    return (await send(method, path, plain)) as Answer<Operation<P, M>>;
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'csrf') throw error;
    // Another tab signed in or out: its session is ours too. Ask for the token again and try once more.
    const session = (await send('get', '/session', {})) as Session;
    setCsrf(session.csrf);
    return (await send(method, path, plain)) as Answer<Operation<P, M>>;
  }
}

interface Plain {
  path?: Record<string, string>;
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  signal?: AbortSignal;
}

async function send(method: Method, path: string, options: Plain): Promise<unknown> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (method !== 'get') Object.assign(headers, csrfHeaders());
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';

  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), timeoutMs);
  const abort = (): void => timeout.abort();
  options.signal?.addEventListener('abort', abort);
  try {
    const response = await fetch(address(path, options), {
      method: method.toUpperCase(),
      headers,
      credentials: 'same-origin',
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: timeout.signal,
    });
    return await read(response);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    if (options.signal?.aborted) throw new ApiError(0, 'cancelled', 'cancelled');
    if (timeout.signal.aborted) throw new ApiError(0, 'timeout', `no answer in ${timeoutMs / 1000} s`);
    throw new ApiError(0, 'offline', String(error));
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', abort);
  }
}

function address(path: string, options: Plain): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(options.path?.[name] ?? ''));
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(options.query ?? {})) {
    if (value !== undefined) query.set(name, String(value));
  }
  const text = query.toString();
  return `/api/v1${filled}${text ? `?${text}` : ''}`;
}

async function read(response: Response): Promise<unknown> {
  if (response.status === 204) return undefined;
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    // A proxy's own page: the control plane did not answer.
    const code = response.status >= 502 && response.status <= 504 ? 'unavailable' : 'bad_answer';
    throw new ApiError(response.status, code, response.statusText);
  }
  if (response.ok) return body;
  const error = (body as Partial<Schemas['Error']>).error;
  const retryAfter = Number(response.headers.get('Retry-After'));
  if (error?.code === 'not_signed_in') onSignedOut();
  throw new ApiError(response.status, error?.code ?? 'bad_answer', error?.message ?? response.statusText, retryAfter > 0 ? retryAfter : undefined);
}
