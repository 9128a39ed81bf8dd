// What this grid offers, and how many workers serve each model right now.

import { computed, signal } from '@preact/signals';
import { bare, path, rest } from '../api/http';
import type { Limit, Lora, LoraList, Media, Model, Network, SizePreset, Tier } from '../api/types';

export const models = signal<Model[]>([]);
export const tiers = signal<Record<string, Tier>>({});
export const workers = signal<Record<string, number>>({});

export const loraById = signal(new Map<string, Lora>());
export const mostLoras = signal(0);

export const modelById = computed(() => new Map(models.value.map((model) => [model.id, model])));

/** Kinds of media in the catalogue, in the order in which people look for them. */
export const kinds = computed(() => {
  const order: Media[] = ['image', 'video', 'audio'];
  return order.filter((media) => models.value.some((model) => model.media === media));
});

export async function loadCatalog(): Promise<void> {
  const [list, limits, bends] = await Promise.all([
    bare<Model[]>('/api/v1/models/list'),
    bare<Record<string, Tier>>('/api/v2/models/tiers'),
    rest<LoraList>('GET', '/v1/loras/comfy')
  ]);
  models.value = list;
  tiers.value = limits;
  loraById.value = new Map(bends.loras.map((one) => [one.loraId, one]));
  mostLoras.value = bends.constraints.maxPerRequest;
}

export function tierOf(model: Model | undefined): Tier {
  return (model && tiers.value[model.tier]) ?? {};
}

/** What may be chosen for a setting; undefined: the model has no such setting. */
export function limitOf(model: Model | undefined, name: string): Limit | undefined {
  const limit = tierOf(model)[name];
  return limit !== null && typeof limit === 'object' ? (limit as Limit) : undefined;
}

export function workersOf(id: string): number {
  return workers.value[id] ?? 0;
}

const presets = new Map<string, Promise<SizePreset[]>>();

export function presetsOf(model: Model, network: Network): Promise<SizePreset[]> {
  const key = `${network}/${model.id}`;
  let found = presets.get(key);
  if (!found) {
    found = bare<SizePreset[]>(path`/api/v1/size-presets/network/${network}/model/${model.id}`);
    found.catch(() => presets.delete(key));
    presets.set(key, found);
  }
  return found;
}

/** The best model to begin with: one that somebody serves, else the first of its kind. */
export function firstModel(media: Media): Model | undefined {
  const ofKind = models.value.filter((model) => model.media === media);
  const easy = (model: Model) => !model.requiredInputs?.length;
  return (
    ofKind.find((model) => workersOf(model.id) > 0 && easy(model)) ??
    ofKind.find((model) => workersOf(model.id) > 0) ??
    ofKind.find(easy) ??
    ofKind[0]
  );
}
