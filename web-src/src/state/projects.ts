// Every project of the account that this tab knows: listed by the server, told by the socket (its own)
// or by event streams (those of other tabs and programs). Each project is a signal of its own, so that
// the progress of one redraws one.

import { batch, computed, signal, type Signal } from '@preact/signals';
import { path, query, rest } from '../api/http';
import { decode } from '../api/socket';
import type {
  JobRecord,
  JobRequest,
  Media,
  ProjectPage,
  ProjectRecord,
  Token,
  WaitingReason
} from '../api/types';
import { modelById } from './catalog';
import { toast } from './toasts';

export type JobStatus = 'waiting' | 'loading' | 'running' | 'completed' | 'failed' | 'canceled';

export interface Job {
  /** Null until a worker has it. */
  readonly id: string | null;
  readonly index: number;
  readonly status: JobStatus;
  readonly step: number;
  readonly stepCount: number;
  readonly etaS: number | null;
  readonly worker: string;
  readonly previewUrl: string | null;
  readonly resultUrl: string | null;
  readonly seed: number | null;
  readonly reason: string | null;
  readonly withheld: boolean;
  readonly sensitive: boolean;
  readonly prompt: string | null;
  readonly tookS: number | null;
}

export interface Project {
  readonly id: string;
  readonly appId: string;
  readonly modelId: string;
  readonly modelName: string;
  readonly media: Media;
  readonly request: JobRequest | null;
  readonly prompt: string;
  readonly status: 'sending' | ProjectRecord['status'];
  readonly canceling: boolean;
  readonly reason: string | null;
  readonly waiting: WaitingReason | null;
  readonly position: number | null;
  readonly startsInS: number | null;
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  readonly token: Token;
  readonly cost: string;
  readonly createdMs: number;
  readonly endedMs: number;
  readonly jobs: readonly Job[];
}

const OPEN = new Set<Project['status']>(['sending', 'queued', 'processing']);
const known = new Map<string, Signal<Project>>();

/** Ids, newest first. */
export const order = signal<string[]>([]);
export const nextPage = signal<string | null>(null);
export const listed = signal(false);
export const mediaKeptS = signal(24 * 3600);

export const isOpen = (project: Project): boolean => OPEN.has(project.status);
export const projectOf = (id: string): Signal<Project> | undefined => known.get(id);
export const all = computed(() => order.value.map((id) => known.get(id)!.value));
export const openCount = computed(() => all.value.filter(isOpen).length);

const EMPTY_JOB: Omit<Job, 'index'> = {
  id: null,
  status: 'waiting',
  step: 0,
  stepCount: 0,
  etaS: null,
  worker: '',
  previewUrl: null,
  resultUrl: null,
  seed: null,
  reason: null,
  withheld: false,
  sensitive: false,
  prompt: null,
  tookS: null
};

// ── from records ─────────────────────────────────────────────────────────────────────────────────

const JOB_STATUS: Record<string, JobStatus> = {
  created: 'waiting',
  queued: 'waiting',
  pending: 'waiting',
  assigned: 'loading',
  initiatingModel: 'loading',
  jobStarted: 'running',
  jobProgress: 'running',
  jobCompleted: 'completed',
  jobError: 'failed'
};

function jobFromRecord(record: JobRecord, steps: number): Job {
  const canceled = record.reason === 'artistCanceled';
  const status = canceled ? 'canceled' : (JOB_STATUS[record.status] ?? 'waiting');
  const ended = record.endTime > 0 && record.startTime > 0;
  return {
    ...EMPTY_JOB,
    id: record.imgID,
    index: record.jobIndex,
    status,
    step: record.performedSteps,
    stepCount: steps,
    worker: record.worker.name,
    resultUrl: record.resultUrl,
    seed: record.seedUsed >= 0 ? record.seedUsed : null,
    reason: record.reason,
    withheld: record.triggeredNSFWFilter,
    sensitive: record.nsfwDetected,
    tookS: ended ? (record.endTime - record.startTime) / 1000 : null
  };
}

function fromRecord(record: ProjectRecord): Project {
  const request = record.clientRequestData ? (decode(record.clientRequestData) as JobRequest) : null;
  const jobs = [...record.workerJobs, ...record.completedWorkerJobs]
    .sort((a, b) => a.jobIndex - b.jobIndex)
    .map((job) => jobFromRecord(job, record.stepCount));
  return {
    id: record.id,
    appId: record.appId,
    modelId: record.model.id,
    modelName: record.model.name,
    media: record.model.type,
    request,
    prompt: request?.keyFrames[0].positivePrompt ?? '',
    status: record.status,
    canceling: false,
    reason: record.reason,
    waiting: record.waitingReason,
    position: null,
    startsInS: null,
    width: record.width,
    height: record.height,
    steps: record.stepCount,
    token: record.tokenType,
    cost: record.finished ? record.costActual.costInToken : (record.costEstimate.quote.project.costInToken ?? '0'),
    createdMs: record.createTime,
    endedMs: record.endTime,
    jobs
  };
}

/** What a record does not say but this tab has seen stays. */
function merged(old: Project | undefined, fresh: Project): Project {
  if (!old) return fresh;
  const jobs = fresh.jobs.map((job) => {
    const seen = old.jobs[job.index];
    if (!seen) return job;
    const open = job.status === 'waiting' || job.status === 'loading' || job.status === 'running';
    return {
      ...job,
      previewUrl: open ? seen.previewUrl : null,
      resultUrl: job.resultUrl ?? seen.resultUrl,
      prompt: seen.prompt,
      step: Math.max(job.step, open ? seen.step : 0),
      etaS: open ? seen.etaS : null
    };
  });
  return { ...fresh, jobs, position: old.position, startsInS: old.startsInS, request: fresh.request ?? old.request };
}

function put(project: Project): void {
  const found = known.get(project.id);
  if (found) {
    found.value = merged(found.value, project);
    return;
  }
  known.set(project.id, signal(project));
  order.value = [...order.value, project.id].sort(
    (a, b) => known.get(b)!.peek().createdMs - known.get(a)!.peek().createdMs
  );
}

// ── the list ─────────────────────────────────────────────────────────────────────────────────────

const PAGE = 40;

/** The newest projects, or the next page of older ones. */
export async function load(older = false): Promise<void> {
  const before = older ? (nextPage.value ?? undefined) : undefined;
  const found = await rest<ProjectPage>('GET', query('/v1/projects', { limit: PAGE, before }));
  batch(() => {
    mediaKeptS.value = found.mediaKeptS;
    if (older || !listed.value) nextPage.value = found.next;
    listed.value = true;
    for (const record of found.projects) put(fromRecord(record));
  });
  follow();
}

/** What the server knows of one project now. */
async function refresh(id: string): Promise<void> {
  const { project } = await rest<{ project: ProjectRecord }>('GET', path`/v2/projects/${id}`);
  put(fromRecord(project));
}

/** What can be looked at of a project. */
export const shown = (project: Project): Job[] =>
  project.jobs.filter((job) => job.status === 'completed' && job.resultUrl && !job.withheld);

/** Removes a project of the account with all of its files. */
export async function removeProject(id: string): Promise<void> {
  await rest('DELETE', path`/v1/projects/${id}`);
  order.value = order.value.filter((one) => one !== id);
  known.delete(id);
}

/** Removes one result of a project. */
export async function removeResult(projectId: string, jobId: string): Promise<void> {
  await rest('DELETE', path`/v1/projects/${projectId}/jobs/${jobId}`);
  setLink(projectId, jobId, null);
}

/** A fresh link to a result; null: its file is kept no longer. */
export async function linkTo(project: Project, job: Job): Promise<string | null> {
  const [where, name] = project.media === 'image' ? ['image', 'imageId'] : ['media', 'id'];
  try {
    const link = query(`/v1/${where}/downloadUrl`, { jobId: project.id, [name!]: job.id ?? '', type: 'complete' });
    return (await rest<{ downloadUrl: string }>('GET', link)).downloadUrl;
  } catch {
    return null;
  }
}

export function setLink(projectId: string, jobId: string, resultUrl: string | null): void {
  changeJob(projectId, { id: jobId }, () => ({ resultUrl }));
}

export function forget(): void {
  for (const stop of followed.values()) stop();
  followed.clear();
  known.clear();
  order.value = [];
  listed.value = false;
  nextPage.value = null;
}

// ── changes ──────────────────────────────────────────────────────────────────────────────────────

/** A project that is about to be sent, shown at once. */
export function expect(request: JobRequest, media: Media, steps: number, cost: string, appId: string): void {
  const frame = request.keyFrames[0];
  put({
    id: request.jobID,
    appId,
    modelId: frame.modelID,
    modelName: modelById.value.get(frame.modelID)?.name ?? frame.modelID,
    media,
    request,
    prompt: frame.positivePrompt,
    status: 'sending',
    canceling: false,
    reason: null,
    waiting: null,
    position: null,
    startsInS: null,
    width: frame.width ?? 0,
    height: frame.height ?? 0,
    steps,
    token: request.tokenType ?? 'spark',
    cost,
    createdMs: Date.now(),
    endedMs: 0,
    jobs: Array.from({ length: request.numberOfImages }, (_, index) => ({ ...EMPTY_JOB, index, stepCount: steps }))
  });
}

export function change(id: string, how: (project: Project) => Partial<Project>): void {
  const found = known.get(id);
  if (found) found.value = { ...found.value, ...how(found.value) };
}

interface Which {
  id: string;
  index?: number | undefined;
}

function changeJob(projectId: string, which: Which, how: (job: Job) => Partial<Job>): void {
  change(projectId, (project) => {
    const at = project.jobs.findIndex((job) => job.id === which.id || (!job.id && job.index === which.index));
    if (at < 0) return {};
    return { jobs: project.jobs.map((job, index) => (index === at ? { ...job, id: which.id, ...how(job) } : job)) };
  });
}

// ── what the socket says ─────────────────────────────────────────────────────────────────────────

interface Frame {
  jobID: string;
  imgID?: string;
  jobIndex?: number;
  type?: string;
  queuePosition?: number;
  estimatedStartSeconds?: number;
  waitingReason?: WaitingReason | null;
  workerName?: string;
  positivePrompt?: string;
  step: number;
  stepCount: number;
  hasImage?: boolean;
  etaSeconds?: number;
  lastSeed?: string;
  triggeredNSFWFilter?: boolean;
  nsfwDetected?: boolean;
  resultUrl?: string | null;
  error_message?: string;
  error?: number | string;
  didCancel?: boolean;
}

const progress = new Map<string, Frame>();
let drawing = 0;

/**
 * Progress comes faster than anybody can follow: the newest of each job is taken, and each project is redrawn once.
 * What is out of sight may be a second late.
 */
function drawProgress(): void {
  const drawAll = Date.now() - allDrawnMs >= DRAW_ALL_EVERY_MS;
  if (drawAll) allDrawnMs = Date.now();
  const news = [...progress.values()].filter((frame) => drawAll || !unseen.has(frame.imgID!));
  const projects = new Set(news.map((frame) => frame.jobID));
  batch(() => {
    const now = new Map(news.map((frame) => [frame.imgID!, frame]));
    for (const id of projects) change(id, (project) => ({ jobs: project.jobs.map((job) => stepped(job, now)) }));
  });
  for (const frame of news) progress.delete(frame.imgID!);
  drawing = progress.size > 0 ? window.setTimeout(drawProgress, DRAW_EVERY_MS) : 0;
}

let allDrawnMs = 0;
const DRAW_ALL_EVERY_MS = 1_000;

const DRAW_EVERY_MS = 100;

const GOES_ON = new Set<JobStatus>(['waiting', 'loading', 'running']);

function stepped(job: Job, now: Map<string, Frame>): Job {
  const frame = job.id === null ? undefined : now.get(job.id);
  if (!frame || !GOES_ON.has(job.status)) return job;
  return { ...job, status: 'running', step: frame.step, stepCount: frame.stepCount, etaS: frame.etaSeconds ?? job.etaS };
}

export function hear(type: string, data: unknown): void {
  const frame = data as Frame;
  batch(() => {
    switch (type) {
      case 'jobState':
        state(frame);
        break;
      case 'projectQueue':
        change(frame.jobID, () => ({ waiting: frame.waitingReason ?? null }));
        break;
      case 'jobProgress':
        progress.set(frame.imgID!, frame);
        drawing ||= window.setTimeout(drawProgress, DRAW_EVERY_MS);
        if (frame.hasImage) previewed(frame.jobID, frame.imgID!);
        break;
      case 'jobETA':
        changeJob(frame.jobID, { id: frame.imgID! }, () => ({ etaS: frame.etaSeconds ?? null }));
        break;
      case 'jobRetry':
        progress.delete(frame.imgID!);
        previewLinks.delete(frame.imgID!); // another attempt has another place
        changeJob(frame.jobID, { id: frame.imgID! }, () => ({
          status: 'waiting',
          step: 0,
          reason: frame.error_message ?? null
        }));
        break;
      case 'jobResult':
        result(frame);
        break;
      case 'jobError':
        failed(frame);
        break;
      case 'artistCancelConfirmation':
        canceled(frame);
        break;
    }
  });
}

function state(frame: Frame): void {
  switch (frame.type) {
    case 'queued':
      if (!known.has(frame.jobID)) void refresh(frame.jobID);
      change(frame.jobID, (project) => ({
        status: project.status === 'processing' ? 'processing' : 'queued',
        position: frame.queuePosition ?? null,
        startsInS: frame.estimatedStartSeconds ?? null,
        waiting: frame.waitingReason ?? null
      }));
      break;
    case 'initiatingModel':
    case 'jobStarted':
      change(frame.jobID, () => ({ status: 'processing' }));
      changeJob(frame.jobID, { id: frame.imgID!, index: frame.jobIndex }, (job) => ({
        status: frame.type === 'jobStarted' ? 'running' : 'loading',
        worker: frame.workerName ?? job.worker,
        prompt: frame.positivePrompt ?? job.prompt
      }));
      break;
    case 'jobCompleted':
      ended(frame.jobID, 'completed');
      break;
  }
}

function result(frame: Frame): void {
  progress.delete(frame.imgID!);
  dropPreview(frame.imgID!);
  changeJob(frame.jobID, { id: frame.imgID! }, (job) => ({
    status: 'completed',
    step: job.stepCount,
    etaS: null,
    previewUrl: null,
    seed: frame.lastSeed === undefined ? job.seed : Number(frame.lastSeed),
    withheld: frame.triggeredNSFWFilter ?? false,
    sensitive: frame.nsfwDetected ?? false,
    resultUrl: frame.resultUrl ?? null
  }));
}

function failed(frame: Frame): void {
  if (frame.imgID) {
    progress.delete(frame.imgID);
    changeJob(frame.jobID, { id: frame.imgID }, () => ({
      status: 'failed',
      reason: frame.error_message ?? String(frame.error ?? '')
    }));
    return;
  }
  const reason = frame.error_message ?? String(frame.error ?? '');
  const project = known.get(frame.jobID)?.peek();
  if (project && isOpen(project)) toast(`Not made: ${reason}`, 'error');
  change(frame.jobID, () => ({ reason }));
  ended(frame.jobID, project?.canceling ? 'canceled' : 'failed', project?.status === 'sending');
}

function canceled(frame: Frame): void {
  if (frame.didCancel === false) {
    toast(frame.error_message ?? 'It could not be canceled.', 'error');
    change(frame.jobID, () => ({ canceling: false }));
    return;
  }
  const project = known.get(frame.jobID)?.peek();
  if (project && isOpen(project)) ended(frame.jobID, 'canceled');
}

/** A project is over; `refused`: it never began, so the server has no record of it. */
function ended(id: string, status: Project['status'], refused = false): void {
  change(id, (project) => ({
    status,
    canceling: false,
    endedMs: Date.now(),
    waiting: null,
    jobs: project.jobs.map((job) =>
      job.status === 'completed' || job.status === 'failed'
        ? job
        : { ...job, status: status === 'canceled' ? 'canceled' : status === 'failed' ? 'failed' : job.status }
    )
  }));
  // What it cost and how long each job took stands in the record.
  if (!refused) refresh(id).catch(() => undefined);
}

// ── previews ─────────────────────────────────────────────────────────────────────────────────────

const fetching = new Set<string>();
/** Jobs whose tiles are out of sight, and whether a preview came meanwhile. */
const unseen = new Map<string, boolean>();

/** A preview can be had; it is fetched where somebody can see it. */
function previewed(projectId: string, jobId: string): void {
  if (unseen.has(jobId)) unseen.set(jobId, true);
  else void preview(projectId, jobId);
}

/** A tile of a job that renders came into sight, or left it. */
export function seen(projectId: string, jobId: string, visible: boolean): void {
  const missed = unseen.get(jobId);
  if (!visible) {
    unseen.set(jobId, missed ?? false);
    return;
  }
  unseen.delete(jobId);
  if (missed) void preview(projectId, jobId);
}
const previews = new Map<string, string>();

const MOST_FETCHES = 4;
const previewLinks = new Map<string, string>();

/** Where the previews of a job lie; the same place for all of one attempt. */
async function previewLink(projectId: string, jobId: string): Promise<string> {
  const found = previewLinks.get(jobId);
  if (found) return found;
  const wish = query('/v1/image/downloadUrl', { jobId: projectId, imageId: jobId, type: 'preview' });
  const { downloadUrl } = await rest<{ downloadUrl: string }>('GET', wish);
  previewLinks.set(jobId, downloadUrl);
  return downloadUrl;
}

/** The newest preview of a job, unless one is on its way already. */
async function preview(projectId: string, jobId: string): Promise<void> {
  // Where many render at once some previews are left out, rather than all of them late.
  if (fetching.has(jobId) || fetching.size >= MOST_FETCHES) return;
  fetching.add(jobId);
  try {
    const answer = await fetch(await previewLink(projectId, jobId), { cache: 'no-store' });
    if (!answer.ok) {
      previewLinks.delete(jobId);
      return;
    }
    const url = URL.createObjectURL(await answer.blob());
    const job = known.get(projectId)?.peek().jobs.find((one) => one.id === jobId);
    if (job?.status !== 'running') {
      URL.revokeObjectURL(url);
      return;
    }
    const old = previews.get(jobId);
    previews.set(jobId, url);
    changeJob(projectId, { id: jobId }, () => ({ previewUrl: url }));
    if (old) setTimeout(() => URL.revokeObjectURL(old), 1_000);
  } catch {
    // The next one comes soon, and the result in any case.
  } finally {
    fetching.delete(jobId);
  }
}

function dropPreview(jobId: string): void {
  unseen.delete(jobId);
  previewLinks.delete(jobId);
  const url = previews.get(jobId);
  previews.delete(jobId);
  if (url) setTimeout(() => URL.revokeObjectURL(url), 3_000);
}

// ── projects of other tabs, devices and programs ─────────────────────────────────────────────────

const MOST_STREAMS = 3; // browsers open six connections to a server, and pictures need some
const followed = new Map<string, () => void>();
let here = '';

/** This tab's name on the grid: what it began itself is told by the socket. */
export function iAm(appId: string): void {
  here = appId;
}

/** Follows the open projects that others began. */
function follow(): void {
  for (const project of all.peek()) {
    if (followed.size >= MOST_STREAMS) return;
    if (isOpen(project) && project.appId !== here && !followed.has(project.id)) stream(project.id);
  }
}

interface StreamEvent {
  type: string;
  jobId?: string;
  index?: number;
  worker?: string;
  reason?: string;
  seed?: number;
  withheld?: boolean;
  resultUrl?: string;
  step?: number;
  stepCount?: number;
  etaS?: number;
  hasPreview?: boolean;
}

function stream(id: string): void {
  const source = new EventSource(path`/v1/projects/${id}/events`);
  followed.set(id, () => source.close());
  const over = (status: Project['status']) => () => {
    source.close();
    followed.delete(id);
    ended(id, status);
    follow();
  };
  const told = (name: string, what: (event: StreamEvent) => void) =>
    source.addEventListener(name, (message) => what(JSON.parse((message as MessageEvent<string>).data) as StreamEvent));
  told('assigned', (event) =>
    hear('jobState', { ...frameOf(id, event), type: 'initiatingModel', workerName: event.worker })
  );
  told('started', (event) => hear('jobState', { ...frameOf(id, event), type: 'jobStarted', workerName: event.worker }));
  told('progress', (event) =>
    hear('jobProgress', {
      ...frameOf(id, event),
      step: event.step,
      stepCount: event.stepCount,
      etaSeconds: event.etaS,
      hasImage: event.hasPreview
    })
  );
  told('job_completed', (event) =>
    hear('jobResult', {
      ...frameOf(id, event),
      lastSeed: event.seed,
      triggeredNSFWFilter: event.withheld,
      resultUrl: event.resultUrl
    })
  );
  told('job_failed', (event) => hear('jobError', { ...frameOf(id, event), error_message: event.reason }));
  told('retried', (event) => hear('jobRetry', { ...frameOf(id, event), error_message: event.reason }));
  told('completed', over('completed'));
  told('failed', over('failed'));
  told('canceled', over('canceled'));
}

function frameOf(id: string, event: StreamEvent): Partial<Frame> {
  const frame: Partial<Frame> = { jobID: id };
  if (event.jobId) frame.imgID = event.jobId;
  if (event.index !== undefined) frame.jobIndex = event.index;
  return frame;
}
