// Who is signed in, and everything that lives as long as that: the socket, balances, worker counts.

import { signal } from '@preact/signals';
import { ApiError, rest, whenSignedOut } from '../api/http';
import { GridSocket } from '../api/socket';
import type { Balances, Me } from '../api/types';
import { loadCatalog, workers } from './catalog';
import * as projects from './projects';
import { replaceRoute, route } from './route';
import { toast } from './toasts';

export const phase = signal<'starting' | 'guest' | 'ready' | 'unreachable'>('starting');
export const me = signal<Me | null>(null);
export const balances = signal<Balances | null>(null);
export const connected = signal(false);
/** Why the last sign-in link did not work, or the grid ended a session. */
export const linkProblem = signal('');

export const socket = new GridSocket(listen, (state) => (connected.value = state), shownOut);

function listen(type: string, data: unknown): void {
  switch (type) {
    case 'authenticated':
      projects.iAm(socket.id);
      if (projects.listed.peek()) void projects.load();
      break;
    case 'balanceUpdate':
      balances.value = data as Balances;
      break;
    case 'swarmModels':
      workers.value = data as Record<string, number>;
      break;
    case 'toastMessage':
      toast((data as { message: string }).message);
      break;
    default:
      projects.hear(type, data);
  }
}

/** The grid ended it: says why, where somebody would look for it. */
function shownOut(why: string): void {
  linkProblem.value = why;
  signedOut();
}

function signedOut(): void {
  socket.close();
  projects.forget();
  me.value = null;
  balances.value = null;
  phase.value = 'guest';
}

/** Finds out who is there; with a sign-in link in the address, uses it first. */
export async function start(): Promise<void> {
  whenSignedOut(signedOut);
  const [page, secret] = route.peek();
  if (page === 'welcome' && secret) {
    replaceRoute('create'); // so that it is in no history and no bookmark
    try {
      await rest('POST', '/v1/account/sign-in-links/use', { secret });
      localStorage.setItem('signedIn', '1');
    } catch (error) {
      linkProblem.value = (error as ApiError).message;
    }
  }
  // Browsers report every 401 as an error of the page: somebody who was never here is not asked.
  if (localStorage.getItem('signedIn') === null) phase.value = 'guest';
  else await enter();
}

/** After a sign-in, or when the page is loaded with one. */
export async function enter(): Promise<void> {
  try {
    me.value = await rest<Me>('GET', '/v1/account/me');
    localStorage.setItem('signedIn', '1');
    await loadCatalog();
    phase.value = 'ready';
    socket.open();
    projects.iAm(socket.id);
    await projects.load();
  } catch (error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
      localStorage.removeItem('signedIn');
      if (error.status === 403) linkProblem.value = error.message;
      phase.value = 'guest';
    } else if (phase.peek() !== 'ready') {
      phase.value = 'unreachable';
      setTimeout(() => void enter(), 3_000);
    } else toast((error as Error).message, 'error');
  }
}

export async function signOut(): Promise<void> {
  await rest('POST', '/v1/account/logout', {}).catch(() => undefined);
  localStorage.removeItem('signedIn');
  signedOut();
}

// What other tabs and programs began while nobody looked.
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && phase.peek() === 'ready') void projects.load().catch(() => undefined);
});
