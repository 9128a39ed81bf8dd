// What is about to be made. Kept in this browser, so that a reload loses no words; files are not.

import { batch, computed, effect, signal } from '@preact/signals';
import type { JobRequest, KeyFrame, Media, Model, Network } from '../api/types';
import { firstModel, limitOf, modelById, models } from '../state/catalog';
import { flagOf, slotsOf } from './inputs';
import { isChoice, isNumber, settingsOf } from './settings';

export type Value = string | number | boolean;

export interface Draft {
  modelId: string;
  prompt: string;
  negative: string;
  style: string;
  count: number;
  /** Null: another one every time. */
  seed: number | null;
  /** Null: the model's own. */
  size: [width: number, height: number] | null;
  /** What differs from the model's defaults, by the names of the tier. */
  values: Record<string, Value>;
  format: string;
  network: Network;
  unfiltered: boolean;
}

const EMPTY: Draft = {
  modelId: '',
  prompt: '',
  negative: '',
  style: '',
  count: 1,
  seed: null,
  size: null,
  values: {},
  format: '',
  network: 'fast',
  unfiltered: false
};

const KEY = 'draft';
export const MOST: Record<Media, number> = { image: 16, video: 4, audio: 4 };
const PREVIEWS = 5;

function kept(): Draft {
  try {
    return { ...EMPTY, ...(JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Draft>) };
  } catch {
    return EMPTY;
  }
}

export const draft = signal<Draft>(kept());
export const files = signal<Record<string, Blob>>({});
effect(() => localStorage.setItem(KEY, JSON.stringify(draft.value)));

export function edit(change: Partial<Draft>): void {
  draft.value = { ...draft.value, ...change };
}

export function editValue(name: string, value: Value | undefined): void {
  const values = { ...draft.value.values };
  if (value === undefined) delete values[name];
  else values[name] = value;
  edit({ values });
}

export function setFile(role: string, file: Blob | null): void {
  const next = { ...files.value };
  if (file) next[role] = file;
  else delete next[role];
  files.value = next;
}

export const model = computed<Model | undefined>(() => {
  if (models.value.length === 0) return undefined;
  return modelById.value.get(draft.value.modelId) ?? firstModel('image') ?? models.value[0];
});

export const media = computed<Media>(() => model.value?.media ?? 'image');
export const slots = computed(() => slotsOf(model.value));
/** The files that this model takes. */
export const used = computed(() => slots.value.filter((slot) => files.value[slot.role]));
export const settings = computed(() => settingsOf(model.value, 'startingImage' in files.value));

/** Chooses a model; what another one was told stays where this one allows it. */
export function choose(next: Model): void {
  const { values, size, count, format } = draft.value;
  const allowed = Object.fromEntries(
    Object.entries(values).filter(([name, value]) => {
      const limit = limitOf(next, name);
      if (!limit) return false;
      if (isChoice(limit)) return limit.allowed.includes(value as string | number);
      if (isNumber(limit)) return Number(value) >= limit.min && Number(value) <= (limit.max ?? Infinity);
      return true;
    })
  );
  const fits = size && next.size && size.every((side) => side >= next.size!.min && side <= next.size!.max);
  edit({
    modelId: next.id,
    values: allowed,
    size: fits ? size : null,
    count: Math.min(count, MOST[next.media]),
    format: next.outputFormats?.includes(format) ? format : ''
  });
}

export function valueOf(name: string): Value | undefined {
  const limit = limitOf(model.value, name);
  return draft.value.values[name] ?? (limit && 'default' in limit ? limit.default : undefined);
}

export const size = computed<[number, number] | null>(() => {
  const chosen = draft.value.size;
  if (chosen) return chosen;
  const entry = model.value;
  if (entry?.size) return [entry.size.width, entry.size.height];
  const [width, height] = ['width', 'height'].map((name) => limitOf(entry, name));
  return width && height && isNumber(width) && isNumber(height) ? [width.default, height.default] : null;
});

/** What keeps this from being made; empty: nothing. */
export const missing = computed(() => {
  const entry = model.value;
  if (!entry) return 'Choose a model.';
  const lacks = slots.value.find((slot) => slot.required && !files.value[slot.role]);
  if (lacks) return `${entry.name} needs a file: ${lacks.label.toLowerCase()}.`;
  const any = entry.anyInputs ?? [];
  if (any.length > 0 && !any.some((role) => files.value[role])) return `${entry.name} needs one file at least.`;
  if (!draft.value.prompt.trim() && used.value.length === 0) return 'Write what you want to see or hear.';
  return '';
});

export function requestOf(id: string): JobRequest {
  const { modelId: _, values, prompt, negative, style, seed, count, format, network, unfiltered } = draft.value;
  const entry = model.value!;
  const frame: KeyFrame = { modelID: entry.id, positivePrompt: prompt.trim() };
  if (negative.trim()) frame.negativePrompt = negative.trim();
  if (style.trim()) frame.stylePrompt = style.trim();
  if (seed !== null) frame.seed = seed;
  if (size.value) {
    [frame.width, frame.height] = size.value;
    if (entry.media === 'image') frame.sizePreset = 'custom';
  }
  for (const setting of settings.value) {
    const value = values[setting.name];
    if (value !== undefined && value !== '') frame[setting.wire] = value;
  }
  for (const slot of used.value) frame[flagOf(slot.role)] = true;
  const request: JobRequest = { jobID: id, keyFrames: [frame], numberOfImages: count, network, appSource: 'studio' };
  if (entry.media === 'image') request.previews = PREVIEWS;
  if (format) request.outputFormat = format;
  if (unfiltered) request.disableSafety = true;
  return request;
}

export const previewCount = computed(() => (media.value === 'image' ? PREVIEWS : 0));

/** Takes over how something was made; its files come separately. */
export function takeOver(request: JobRequest, seed: number | null): void {
  const frame = request.keyFrames[0];
  const entry = modelById.value.get(frame.modelID);
  batch(() => {
    files.value = {};
    const values: Record<string, Value> = {};
    for (const setting of settingsOf(entry, true)) {
      const value = frame[setting.wire];
      if (value !== undefined && value !== null) values[setting.name] = value as Value;
    }
    draft.value = {
      ...EMPTY,
      modelId: frame.modelID,
      prompt: frame.positivePrompt ?? '',
      negative: frame.negativePrompt ?? '',
      style: frame.stylePrompt ?? '',
      count: request.numberOfImages ?? 1,
      seed,
      size: frame.width && frame.height ? [frame.width, frame.height] : null,
      values,
      format: request.outputFormat ?? '',
      network: request.network ?? 'fast',
      unfiltered: request.disableSafety ?? false
    };
  });
}
