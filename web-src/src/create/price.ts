// What the draft would cost: asked of the server a moment after the last change.

import { effect, signal } from '@preact/signals';
import { bare, path, saying } from '../api/http';
import { phase } from '../state/session';
import { draft, files, media, model, previewCount, size, steer, valueOf } from './draft';

interface Estimate {
  quote: { project: { costInToken: string } };
}

export const price = signal<string | null>(null);
export const priceProblem = signal('');
const WAIT_MS = 180;
let timer = 0;
let asked = '';

function question(): string {
  const entry = model.value;
  if (!entry || phase.value !== 'ready') return '';
  const { count, network } = draft.value;
  const [width, height] = size.value ?? [0, 0];
  const steps = Number(valueOf('steps') ?? 0);
  const number = (name: string) => Number(valueOf(name) ?? 0);
  switch (media.value) {
    case 'image': {
      const denoise = files.value['startingImage'] ? number('strength') || 0.75 : 0;
      const context = Object.keys(files.value).filter((role) => role.startsWith('contextImage')).length;
      const sampler = String(valueOf('sampler') ?? valueOf('comfySampler') ?? '_');
      const start = path`/api/v2/job/estimate/spark/${network}/${entry.id}/${count}/${steps}/${previewCount.value}`;
      return start + path`/${steer.value ? 1 : 0}/${denoise}/${width}/${height}/${number('guidance')}/${sampler}/${context}`;
    }
    case 'video':
      return (
        path`/api/v1/job-video/estimate/spark/${entry.id}/${width}/${height}/${number('frames')}/${number('fps')}` +
        path`/${steps}/${count}` +
        `?network=${network}`
      );
    case 'audio': {
      const seconds = draft.value.values['duration'] ?? 0;
      return path`/api/v1/job-audio/estimate/spark/${entry.id}/${Number(seconds)}/${steps}/${count}` + `?network=${network}`;
    }
  }
}

effect(() => {
  const next = question();
  if (!next || next === asked) return;
  asked = next;
  clearTimeout(timer);
  timer = window.setTimeout(() => void ask(next), WAIT_MS);
});

/** The price of what the form says now; empty while it is being asked for. */
export const currentPrice = (): string => (answered === asked ? (price.peek() ?? '') : '');
let answered = '';

async function ask(about: string): Promise<void> {
  try {
    const answer = await bare<Estimate>(about);
    if (about !== asked) return;
    price.value = answer.quote.project.costInToken;
    answered = about;
    priceProblem.value = '';
  } catch (error) {
    if (about !== asked) return;
    price.value = null;
    priceProblem.value = saying(error);
  }
}
