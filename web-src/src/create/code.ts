// The same wish as a program or a command.

import type { JobRequest, Media } from '../api/types';
import { modelById } from '../state/catalog';
import { lorasOf } from './draft';
import { filesOf, INPAINT, isKeyFrame, STEER } from './inputs';
import { settingsOf } from './settings';

type Pair = [name: string, value: unknown];

function pairs(request: JobRequest): Pair[] {
  const frame = request.keyFrames[0];
  const found: Pair[] = [
    ['model', frame.modelID],
    ['prompt', frame.positivePrompt]
  ];
  const add = (name: string, value: unknown) => {
    if (value !== undefined && value !== null && value !== '') found.push([name, value]);
  };
  add('negative_prompt', frame.negativePrompt);
  add('style_prompt', frame.stylePrompt);
  if (request.numberOfImages > 1) add('count', request.numberOfImages);
  add('width', frame.width);
  add('height', frame.height);
  for (const setting of settingsOf(modelById.value.get(frame.modelID), true)) add(setting.python, frame[setting.wire]);
  add('seed', frame.seed);
  add('output_format', request.outputFormat);
  return found;
}

/** The files that a request came with, under the names that a program reads them from. */
function inputs(request: JobRequest): [name: string, value: string][] {
  const frame = request.keyFrames[0];
  const steer = frame.currentControlNetsJob?.[0];
  const several = new Map<string, string[]>();
  const found: [string, string][] = [];
  for (const { role, kind } of filesOf(request, modelById.value.get(frame.modelID))) {
    if (role === STEER || isKeyFrame(role)) continue;
    const [, name, number] = /^(.*?)(\d*)$/.exec(role)!;
    const file = JSON.stringify(`${role}.${{ image: 'png', audio: 'wav', video: 'mp4' }[kind]}`);
    if (!number) found.push([snake(name!), file]);
    else several.set(name!, [...(several.get(name!) ?? []), file]);
  }
  for (const [name, files] of several) {
    found.push([name === 'contextImage' ? 'context_images' : snake(name), `[${files.join(', ')}]`]);
  }
  const moments = frame.keyframeFrameIndices ?? [];
  if (moments.length > 0) {
    found.push(['keyframes', `{${moments.map((at, index) => `${at}: "keyframe${index + 1}.png"`).join(', ')}}`]);
  }
  const bent = lorasOf(frame).map(({ id, strength }) => `${JSON.stringify(id)}: ${strength}`);
  if (bent.length > 0) found.push(['loras', `{${bent.join(', ')}}`]);
  if (steer) {
    const parts = [`name=${literal(steer.name)}`];
    if (steer.hasImage) parts.push(`image="${steer.name}.png"`);
    if (steer.controlStrength !== undefined) parts.push(`strength=${steer.controlStrength}`);
    found.push(['control_net', `dreamgrid.ControlNet(${parts.join(', ')})`]);
  }
  return found;
}

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function literal(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return JSON.stringify(value);
}

export function asPython(request: JobRequest, media: Media): string {
  const given = [...pairs(request).map(([name, value]) => [name, literal(value)]), ...inputs(request)];
  const lines = given.map(([name, value]) => `        ${name}=${value},`);
  const maker = { image: 'create_image', video: 'create_video', audio: 'create_audio' }[media];
  return [
    'import dreamgrid',
    '',
    'with dreamgrid.Client() as client:',
    `    project = client.projects.${maker}(`,
    ...lines,
    '    )',
    '    for result in project.wait():',
    '        print(result.save("results/"))',
    ''
  ].join('\n');
}

const FLAGS: Record<string, string> = {
  model: '--model',
  negative_prompt: '--negative',
  style_prompt: '--style',
  count: '--count',
  steps: '--steps',
  guidance: '--guidance',
  seed: '--seed',
  strength: '--strength',
  sampler: '--sampler',
  scheduler: '--scheduler',
  output_format: '--format',
  fps: '--fps',
  shift: '--shift',
  duration_s: '--duration',
  bpm: '--bpm',
  key_scale: '--scale',
  time_signature: '--beats',
  creativity: '--creativity',
  speaker: '--speaker',
  instruct: '--instruct',
  language: '--language'
};

const FILE_FLAGS: [RegExp, string][] = [
  [/^startingImage$/, '--image'],
  [/^contextImage/, '--context'],
  [/^referenceImage$/, '--first'],
  [/^referenceImageEnd$/, '--last']
];

function quoted(value: unknown): string {
  const text = String(value);
  return /^[A-Za-z0-9_.:\/-]+$/.test(text) ? text : `'${text.replace(/'/g, `'\\''`)}'`;
}

export function asCommand(request: JobRequest, media: Media): string {
  const frame = request.keyFrames[0];
  const tier = modelById.value.get(frame.modelID)?.tier ?? '';
  const speech = settingsOf(modelById.value.get(frame.modelID), true).some((one) => one.name === 'instruct');
  const command = media === 'audio' ? (speech || /voice|tts/.test(tier) ? 'speak' : 'music') : media === 'video' ? 'video' : 'generate';
  const flags = pairs(request).flatMap(([name, value]) => (FLAGS[name] ? [`${FLAGS[name]} ${quoted(value)}`] : []));
  const [frames, fps] = [Number(frame['frames']), Number(frame['fps'])];
  if (frames && fps) flags.push(`--duration ${+(frames / fps).toFixed(2)}`);
  for (const { role } of filesOf(request, modelById.value.get(frame.modelID))) {
    const flag = FILE_FLAGS.find(([pattern]) => pattern.test(role))?.[1];
    if (flag) flags.push(`${flag} ${role}.png`);
  }
  for (const { id, strength } of lorasOf(frame)) flags.push(`--lora ${quoted(`${id}:${strength}`)}`);
  if (frame.currentControlNetsJob?.[0]?.name === INPAINT) flags.push(`--mask ${INPAINT}.png`);
  if (frame.width && frame.height) flags.push(`--size ${frame.width}x${frame.height}`);
  return ['dreamgrid', command, quoted(frame.positivePrompt), ...flags].join(' ');
}
