// One place that speaks HTTP. The browser sends the cookie; no script ever holds a credential.

import { duration } from '../ui/format';

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly retryAfterS?: number
  ) {
    super(message);
  }
}

interface Failure {
  message?: string;
  retryAfter?: number;
}

let onSignedOut: () => void = () => undefined;

/** Who wants to know that the session has ended. */
export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener;
}

async function call(method: string, path: string, body?: unknown, more: RequestInit = {}): Promise<unknown> {
  const options: RequestInit = { method, headers: { Accept: 'application/json' }, ...more };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { Accept: 'application/json', 'Content-Type': 'application/json' };
  }
  let answer: Response;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new ApiError('The grid cannot be reached. It is tried again as soon as it answers.', 0);
  }
  const data: unknown = await answer.json().catch(() => null);
  if (answer.ok) return data;
  const said = (data ?? {}) as Failure;
  if (answer.status === 401) onSignedOut();
  throw new ApiError(said.message ?? `The server answered ${answer.status}.`, answer.status, said.retryAfter);
}

/** An endpoint below /v1 to /v4: its answer stands in `data`. */
export async function rest<T>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = (await call(method, path, body)) as { data: T };
  return answer.data;
}

/** The same, asked as somebody whom nobody knows. */
export async function asStranger<T>(path: string): Promise<T> {
  const answer = (await call('GET', path, undefined, { credentials: 'omit' })) as { data: T };
  return answer.data;
}

/** An endpoint below /api: its answer stands alone. */
export async function bare<T>(path: string): Promise<T> {
  return (await call('GET', path)) as T;
}

/** A path with its values escaped: path`/v1/projects/${id}`. */
export function path(parts: TemplateStringsArray, ...values: (string | number)[]): string {
  return parts.reduce((all, part, index) => all + encodeURIComponent(String(values[index - 1] ?? '')) + part);
}

/** A path with a query; values that are undefined are left out. */
export function query(where: string, values: Record<string, string | number | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined) search.set(name, String(value));
  const text = search.toString();
  return text ? `${where}?${text}` : where;
}

/** What went wrong, in words; how long to wait is told as people tell it. */
export function saying(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!(error instanceof ApiError) || !error.retryAfterS) return error.message;
  const what = error.message.replace(/[;,.]? *try again in [\d.]+ ?s\b\.?/i, '');
  return `${what}. Try again in ${duration(error.retryAfterS)}.`;
}
