// What is about to be made. Kept in this browser, so that a reload loses no words; files are not.

import { batch, computed, effect, signal } from '@preact/signals';
import type { JobRequest, KeyFrame, Media, Model, Network, Steer } from '../api/types';
import { firstModel, limitOf, loraById, modelById, models, mostLoras, tierOf } from '../state/catalog';
import { flagOf, INPAINT, isKeyFrame, paintsIn, slotsOf, START, STEER, steerSlot, steersOf, type Slot } from './inputs';
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
  /** What steers it beside its words, and how strongly; kept while a model without it is chosen. */
  steer: { name: string; strength: number } | null;
  /** What bends the model; kept while one that does not know it is chosen. */
  loras: { id: string; strength: number }[];
  /** At which second each key frame is shown, by its role. */
  moments: Record<string, number>;
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
  steer: null,
  loras: [],
  moments: {},
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
  // A mask belongs to the picture that it was painted on.
  if (role === START && draft.value.steer?.name === INPAINT) delete next[STEER];
  files.value = next;
}

/** Paints only where the mask is white; null: everywhere. */
export function setMask(mask: Blob | null): void {
  batch(() => {
    edit({ steer: mask && { name: INPAINT, strength: 1 } });
    // As on the command line: what is painted is painted wholly anew.
    if (mask && draft.value.values['strength'] === undefined) editValue('strength', 1);
    setFile(STEER, mask);
  });
}

/** Steers by something else, or by nothing. */
export function setSteer(name: string): void {
  batch(() => {
    if (draft.value.steer?.name !== name) setFile(STEER, null);
    edit({ steer: name ? { name, strength: draft.value.steer?.strength ?? 1 } : null });
  });
}

export const model = computed<Model | undefined>(() => {
  if (models.value.length === 0) return undefined;
  return modelById.value.get(draft.value.modelId) ?? firstModel('image') ?? models.value[0];
});

export const media = computed<Media>(() => model.value?.media ?? 'image');
export const slots = computed(() => slotsOf(model.value));
export const steers = computed(() => steersOf(model.value));

export const offeredLoras = computed(() =>
  [...loraById.value.values()].filter((one) => model.value && one.modelIds.includes(model.value.id))
);

/** What bends the chosen model. */
export const loras = computed(() =>
  draft.value.loras.filter((one) => offeredLoras.value.some((offered) => offered.loraId === one.id)).slice(0, mostLoras.value)
);

/** What steers the chosen model: nothing that it does not know, and no mask without a picture. */
export const steer = computed(() => {
  const wanted = draft.value.steer;
  if (!wanted) return null;
  if (steers.value.includes(wanted.name)) return wanted;
  const painted = wanted.name === INPAINT && paintsIn(model.value) && files.value[START] && files.value[STEER];
  return painted ? wanted : null;
});

/** The files that this model takes. */
export const used = computed<Slot[]>(() => {
  const found = slots.value.filter((slot) => files.value[slot.role]);
  const byPicture = steer.value && media.value === 'image' && files.value[STEER];
  return byPicture ? [...found, steerSlot(steer.value!.name)] : found;
});
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
  if (steer.value && entry.media === 'image' && !files.value[STEER]) return `Choose a picture for ${steer.value.name}.`;
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
  for (const slot of used.value) if (slot.role !== STEER) frame[flagOf(slot.role)] = true;
  if (steer.value) frame.currentControlNetsJob = [steering(steer.value)];
  if (loras.value.length > 0) {
    frame.loras = loras.value.map((one) => one.id);
    frame.loraStrengths = loras.value.map((one) => one.strength);
  }
  const moments = keyMoments();
  if (moments.length > 0) frame.keyframeFrameIndices = moments;
  const request: JobRequest = { jobID: id, keyFrames: [frame], numberOfImages: count, network, appSource: 'studio' };
  if (entry.media === 'image') request.previews = PREVIEWS;
  if (format) request.outputFormat = format;
  if (unfiltered) request.disableSafety = true;
  return request;
}

function steering({ name, strength }: { name: string; strength: number }): Steer {
  const told: Steer = { name, hasImage: used.value.some((slot) => slot.role === STEER) };
  return strength === 1 ? told : { ...told, controlStrength: strength };
}

/** How many frames of motion a second has: not always as many as are shown. */
export function framesPerSecond(): number {
  const motion = tierOf(model.value)['motionFps'];
  return typeof motion === 'number' ? motion : Number(valueOf('fps') ?? 24);
}

/** The frame of each key frame, in the order of their slots. */
function keyMoments(): number[] {
  const last = Math.max(0, Number(valueOf('frames') ?? 1) - 1);
  const shown = used.value.filter((slot) => isKeyFrame(slot.role));
  return shown.map((slot) => Math.min(last, Math.round((draft.value.moments[slot.role] ?? 0) * framesPerSecond())));
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
    const net = frame.currentControlNetsJob?.[0];
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
      steer: net ? { name: net.name, strength: net.controlStrength ?? 1 } : null,
      loras: lorasOf(frame),
      moments: momentsOf(frame, entry),
      format: request.outputFormat ?? '',
      network: request.network ?? 'fast',
      unfiltered: request.disableSafety ?? false
    };
  });
}

/** What bent the model that made something, and how strongly. */
export function lorasOf(frame: KeyFrame): { id: string; strength: number }[] {
  return (frame.loras ?? []).map((id, at) => ({
    id,
    strength: frame.loraStrengths?.[at] ?? loraById.value.get(id)?.ui.default ?? 1
  }));
}

function momentsOf(frame: KeyFrame, entry: Model | undefined): Record<string, number> {
  const roles = slotsOf(entry).filter((slot) => isKeyFrame(slot.role) && frame[flagOf(slot.role)]);
  const motion = tierOf(entry)['motionFps'];
  const perSecond = typeof motion === 'number' ? motion : Number(frame['fps'] ?? 24);
  return Object.fromEntries(
    roles.map((slot, at) => [slot.role, Math.round(((frame.keyframeFrameIndices?.[at] ?? 0) / perSecond) * 100) / 100])
  );
}
