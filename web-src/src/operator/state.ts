// What administrators see of the grid: asked again every few seconds, as much as the page shows.

import { signal } from '@preact/signals';
import { query, rest, saying } from '../api/http';
import { toast, tried } from '../state/toasts';
import { ask, type Question } from '../ui/asking';

export interface Worker {
  id: string;
  name: string;
  owner: string;
  network: string;
  models: string[];
  slots: number;
  jobs?: string[];
  state: 'working' | 'draining' | 'resting' | 'paused';
  pausedReason?: string;
}

export interface OpenProject {
  id: string;
  username: string;
  modelId: string;
  jobs: number;
  running: number;
  done: number;
  createTime: number;
  startsInS?: number;
  reason?: string;
}

export interface Limits {
  maxRunningJobs?: number;
  maxQueuedProjects?: number;
  priority?: number;
}

export interface Account {
  username: string;
  createTime: number;
  spark: string;
  sogni: string;
  limits: Limits;
  bannedReason?: string;
}

export interface Ban {
  kind: 'account' | 'app' | 'worker';
  target: string;
  reason: string;
  time: number;
}

export interface Done {
  id: number;
  time: number;
  actor: string;
  action: string;
  target: string;
  detail?: string;
  reason?: string;
}

export type Tab = 'overview' | 'workers' | 'queue' | 'models' | 'accounts' | 'trail' | 'health';

export const workers = signal<Worker[] | null>(null);
export const queue = signal<OpenProject[]>([]);
export const queued = signal(0);
export const accounts = signal<Account[]>([]);
export const bans = signal<Ban[]>([]);
export const actions = signal<Done[]>([]);
export const problem = signal('');
export const search = signal('');
/** How many lines of the long lists are asked for. */
export const pages = signal({ queue: 100, accounts: 50, trail: 50 });

async function lookAtWork(): Promise<void> {
  const [who, what] = await Promise.all([
    rest<{ workers: Worker[] }>('GET', '/v1/admin/workers'),
    rest<{ projects: OpenProject[]; total: number }>('GET', query('/v1/admin/projects', { limit: pages.value.queue }))
  ]);
  [workers.value, queue.value, queued.value] = [who.workers, what.projects, what.total];
}

/** What ended within a part of the time. */
export interface Part {
  time: number;
  completed: number;
  failed: number;
  waitedS?: number;
  renderedS?: number;
  spark: string;
}

export interface Activity {
  parts: Part[];
  since: number;
  partS: number;
}

export const SPANS: [minutes: string, label: string][] = [
  ['60', 'Hour'],
  ['1440', 'Day'],
  ['10080', 'Week']
];
export const span = signal('60');
export const activity = signal<Activity | null>(null);
const ACTIVITY_EVERY_MS = 15_000;
let asked = { span: '', atMs: 0 };

async function lookAtActivity(): Promise<void> {
  const minutes = span.value;
  if (asked.span === minutes && Date.now() - asked.atMs < ACTIVITY_EVERY_MS) return;
  asked = { span: minutes, atMs: Date.now() };
  const found = await rest<Activity>('GET', query('/v1/admin/activity', { minutes }));
  if (minutes === span.value) activity.value = found;
}

async function lookAtBans(): Promise<void> {
  bans.value = (await rest<{ bans: Ban[] }>('GET', '/v1/admin/bans')).bans;
}

async function lookAtAccounts(): Promise<void> {
  const wish = { limit: pages.value.accounts, search: search.value || undefined };
  accounts.value = (await rest<{ accounts: Account[] }>('GET', query('/v1/admin/accounts', wish))).accounts;
}

async function lookAtTrail(): Promise<void> {
  const found = await rest<{ actions: Done[] }>('GET', query('/v1/admin/actions', { limit: pages.value.trail }));
  actions.value = found.actions;
}

/** How the server is. */
export interface Health {
  version: string;
  since: number;
  workers: number;
  projects: number;
  waiting: number;
  media: { files: number; sizeBytes: number; freeBytes?: number };
}

export interface Audit {
  clean: boolean;
  time: number;
  tookS: number;
  counted: Record<string, number>;
  findings: { check: string; rows: string[]; message: string; advice: string }[];
}

export const health = signal<Health | null>(null);
export const audit = signal<Audit | null>(null);
const HEALTH_EVERY_MS = 15_000; // it counts files
let healthAtMs = 0;

async function lookAtHealth(): Promise<void> {
  if (Date.now() - healthAtMs < HEALTH_EVERY_MS) return;
  healthAtMs = Date.now();
  health.value = await rest<Health>('GET', '/v1/admin/health');
}

const NEEDS: Record<Tab, (() => Promise<void>)[]> = {
  overview: [lookAtWork, lookAtActivity],
  workers: [lookAtWork, lookAtBans],
  queue: [lookAtWork],
  models: [], // the socket tells
  accounts: [lookAtAccounts, lookAtBans],
  trail: [lookAtTrail],
  health: [lookAtHealth, lookAtWork]
};

let shownTab: Tab = 'overview';

/** Asks for what a page shows; without a name, for what the page before showed. */
export async function look(tab: Tab = shownTab): Promise<void> {
  shownTab = tab;
  try {
    await Promise.all(NEEDS[tab].map((one) => one()));
    problem.value = '';
  } catch (error) {
    problem.value = saying(error);
  }
}

/** Asks for a reason, does it, says what happened and looks again. */
export async function act(question: Question, done: string, work: (reason: string) => Promise<unknown>): Promise<void> {
  const field = { label: 'Why', hint: 'It stands in the trail, and whom it concerns may be told.' };
  const reason = await ask({ field, ...question });
  if (reason === null) return;
  await tried(async () => {
    await work(reason);
    toast(done);
  });
  await look();
}
