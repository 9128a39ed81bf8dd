// From a draft to a project: inputs go up first, then the request goes over the socket.

import { query, rest } from '../api/http';
import { uuid } from '../api/socket';
import type { JobRequest, Model } from '../api/types';
import { linkTo, change, expect, type Job, type Project } from '../state/projects';
import { socket } from '../state/session';
import { toast, tried } from '../state/toasts';
import { choose, draft, edit, files, media, model, requestOf, setFile, takeOver, used, valueOf } from './draft';
import { currentPrice } from './price';
import { filesOf, slotsOf, START } from './inputs';
import { modelById, models, workersOf } from '../state/catalog';
import { go } from '../state/route';

async function upload(projectId: string, role: string, kind: string, file: Blob): Promise<void> {
  const where = kind === 'image' ? '/v1/image/uploadUrl' : '/v1/media/uploadUrl';
  const wish = query(where, { jobId: projectId, type: role, contentType: file.type || undefined });
  const { uploadUrl } = await rest<{ uploadUrl: string }>('GET', wish);
  const headers: Record<string, string> = file.type ? { 'Content-Type': file.type } : {};
  const answer = await fetch(uploadUrl, { method: 'PUT', body: file, headers });
  if (!answer.ok) throw new Error(`The file for ${role} was not taken: ${answer.status}.`);
}

/** Makes what the draft says. */
export async function create(): Promise<boolean> {
  const request = requestOf(uuid());
  const inputs = used.value.map((slot) => ({ ...slot, file: files.value[slot.role]! }));
  const done = await tried(async () => {
    await Promise.all(inputs.map((input) => upload(request.jobID, input.role, input.kind, input.file)));
    send(request, Number(valueOf('steps') ?? 0), currentPrice());
    return true;
  });
  return done ?? false;
}

function send(request: JobRequest, steps: number, cost: string): void {
  expect(request, modelById.value.get(request.keyFrames[0].modelID)?.media ?? media.value, steps, cost, socket.id);
  socket.send('jobRequest', request);
}

/** The same wish again, with its inputs; another seed unless it named one. */
export async function again(project: Project): Promise<void> {
  if (!project.request) return;
  await tried(async () => {
    const request = { ...project.request!, jobID: uuid() };
    for (const slot of filesOf(request, modelById.value.get(project.modelId))) {
      const file = await inputOf(project, slot.role, slot.kind);
      if (!file) throw new Error(`The file that it began with (${slot.label.toLowerCase()}) is no longer kept.`);
      await upload(request.jobID, slot.role, slot.kind, file);
    }
    send(request, project.steps, project.cost);
  });
}

async function inputOf(project: Project, role: string, kind: string): Promise<Blob | null> {
  const where = kind === 'image' ? '/v1/image/downloadUrl' : '/v1/media/downloadUrl';
  try {
    const { downloadUrl } = await rest<{ downloadUrl: string }>(
      'GET',
      query(where, { jobId: project.id, type: role })
    );
    const answer = await fetch(downloadUrl);
    return answer.ok ? await answer.blob() : null;
  } catch {
    return null;
  }
}

export function cancel(project: Project): void {
  change(project.id, () => ({ canceling: true }));
  socket.send('jobError', {
    jobID: project.id,
    error: 'artistCanceled',
    error_message: 'artistCanceled',
    isFromWorker: false
  });
}

/** The settings of a result, in the form. With its files, as far as they are kept. */
export async function useSettings(project: Project, seed: number | null): Promise<void> {
  if (!project.request) return;
  takeOver(project.request, seed);
  go('create');
  for (const slot of filesOf(project.request, model.value)) {
    const file = await inputOf(project, slot.role, slot.kind);
    if (file) setFile(slot.role, file);
    else toast(`The file for "${slot.label}" is no longer kept; choose it again.`);
  }
}

export async function resultFile(project: Project, job: Job): Promise<Blob | null> {
  for (const url of [job.resultUrl, await linkTo(project, job)]) {
    const answer = url ? await fetch(url).catch(() => null) : null;
    if (answer?.ok) return answer.blob();
  }
  toast('This file is no longer kept.', 'error');
  return null;
}

/** Begins with a result: the current model if it takes a picture, else the one that made it. */
export async function useAsInput(project: Project, job: Job): Promise<void> {
  const file = await resultFile(project, job);
  if (!file) return;
  const role = (entry = model.value) => slotsOf(entry).find((slot) => slot.kind === 'image')?.role;
  if (!role()) edit({ modelId: project.modelId });
  const found = role();
  if (!found) {
    toast('No model here takes a picture.', 'error');
    return;
  }
  setFile(found, file);
  go('create');
}

/** Three more like this one: the same picture as a start, changed by half. */
export async function vary(project: Project, job: Job): Promise<void> {
  const entry = modelById.value.get(project.modelId);
  const takesPicture = slotsOf(entry).some((slot) => slot.role === 'startingImage');
  if (!project.request) return;
  takeOver(project.request, null);
  edit({ steer: null }); // what steered it is not at hand, and the picture itself says more
  if (takesPicture) {
    const file = await resultFile(project, job);
    if (!file) return;
    setFile('startingImage', file);
    edit({ values: { ...draft.value.values, strength: 0.6 } });
  }
  edit({ count: 4, size: [project.width, project.height] });
  go('create');
  await create();
}

/** The model that makes pictures finer; one with a worker, if there is one. */
export function enhancer(): Model | undefined {
  const able = models.value.filter((entry) => entry.enhances);
  return able.find((entry) => workersOf(entry.id) > 0) ?? able[0];
}

/** The same picture once more, finer, and as large as the model for it makes pictures. */
export async function enhance(project: Project, job: Job): Promise<void> {
  const entry = enhancer();
  const file = entry && (await resultFile(project, job));
  if (!entry || !file) return;
  choose(entry);
  setFile(START, file);
  const step = entry.size?.step ?? 8;
  const scale = Math.max(1, (entry.size?.width ?? 0) / Math.max(project.width, project.height));
  const side = (px: number) => Math.min(entry.size?.max ?? Infinity, Math.round((px * scale) / step) * step);
  edit({
    prompt: job.prompt ?? project.prompt,
    count: 1,
    seed: null,
    size: [side(project.width), side(project.height)],
    values: {},
    steer: null
  });
  go('create');
  await create();
}
