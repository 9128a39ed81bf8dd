// Which controls a model gets: read from its tier, so that a new model or setting needs no new code.
// The table only gives the known ones a good name and place; others are shown under their own name.

import { limitOf, tierOf } from '../state/catalog';
import type { Choice, Limit, Model, NumberLimit, Switch, TextLimit } from '../api/types';

export interface Setting {
  /** Its name in the tier. */
  name: string;
  /** Its name in a request. */
  wire: string;
  /** Its name in the Python SDK. */
  python: string;
  label: string;
  hint: string;
  limit: Limit;
  main: boolean;
}

type Row = [label: string, hint: string, options?: { wire?: string; python?: string; main?: boolean }];

const KNOWN: Record<string, Row> = {
  strength: ['Change', '0 keeps the picture, 1 ignores it', { main: true }],
  duration: ['Length', 'Seconds', { python: 'duration_s', main: true }],
  frames: ['Length', 'Seconds', { main: true }],
  fps: ['Frame rate', 'Frames a second', { main: true }],
  speaker: ['Voice', '', { main: true }],
  instruct: ['Manner', 'How to say it, in words', { main: true }],
  language: ['Language', '', { main: true }],
  bpm: ['Tempo', 'Beats a minute', { main: true }],
  keyscale: ['Key', '', { python: 'key_scale', main: true }],
  timesignature: ['Beats a bar', '', { python: 'time_signature', main: true }],
  upscaleResolution: ['Resolution', 'Pixels of the shorter side', { python: 'upscale_resolution', main: true }],
  generateAudio: ['With sound', '', { python: 'generate_audio', main: true }],
  steps: ['Steps', 'More is slower and finer'],
  guidance: ['Guidance', 'How closely to follow the prompt', { wire: 'guidanceScale' }],
  sampler: ['Sampler', '', { wire: 'scheduler' }],
  scheduler: ['Schedule', '', { wire: 'timeStepSpacing' }],
  comfySampler: ['Sampler', '', { python: 'sampler' }],
  comfyScheduler: ['Schedule', '', { python: 'scheduler' }],
  vae: ['VAE', ''],
  shift: ['Shift', 'Where the schedule spends its steps'],
  creativity: ['Creativity', 'How freely to compose'],
  promptStrength: ['Prompt strength', '', { python: 'prompt_strength' }],
  composerMode: ['Composer', 'Plan the piece before playing it', { python: 'composer_mode' }],
  referenceText: ['Words of the voice', 'What the reference sound says', { python: 'reference_text', main: true }]
};

/** Sizes have controls of their own. */
const ELSEWHERE = new Set(['width', 'height']);

export const isChoice = (limit: Limit): limit is Choice => 'allowed' in limit;
export const isNumber = (limit: Limit): limit is NumberLimit => 'min' in limit;
export const isText = (limit: Limit): limit is TextLimit => 'maxLength' in limit;
export const isSwitch = (limit: Limit): limit is Switch =>
  typeof (limit as Switch).default === 'boolean' && !isNumber(limit) && !isChoice(limit);

/** Whether there is anything to decide. */
function open(limit: Limit): boolean {
  if (isChoice(limit)) return limit.allowed.length > 1;
  if (isNumber(limit)) return limit.max === undefined || limit.max > limit.min;
  return isText(limit) || isSwitch(limit);
}

export function settingsOf(model: Model | undefined, hasStart: boolean): Setting[] {
  const names = Object.keys(tierOf(model));
  const known = Object.keys(KNOWN);
  const place = (name: string) => (known.includes(name) ? known.indexOf(name) : known.length);
  return names
    .filter((name) => !ELSEWHERE.has(name) && (name !== 'strength' || hasStart))
    .sort((a, b) => place(a) - place(b))
    .flatMap((name) => {
      const limit = limitOf(model, name);
      if (!limit || !open(limit)) return [];
      const [label, hint, options] = KNOWN[name] ?? [spaced(name), ''];
      return [
        {
          name,
          wire: options?.wire ?? name,
          python: options?.python ?? name,
          label,
          hint,
          limit,
          main: options?.main ?? false
        }
      ];
    });
}

/** `teacacheThreshold` is "Teacache threshold". */
function spaced(name: string): string {
  const words = name.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Steps between two values of a slider. */
export function stepOf(limit: NumberLimit): number {
  if (limit.step !== undefined) return limit.step;
  if (limit.decimals !== undefined) return 10 ** -limit.decimals;
  return Number.isInteger(limit.default) && (limit.max ?? 2) > 1 ? 1 : 0.01;
}
