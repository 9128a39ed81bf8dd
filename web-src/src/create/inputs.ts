// Which files a model takes: from its catalogue entry. Roles are the server's words.

import type { JobRequest, Model } from '../api/types';

export type FileKind = 'image' | 'audio' | 'video';

export interface Slot {
  role: string;
  label: string;
  kind: FileKind;
  required: boolean;
}

/** The role of the picture that steers: a mask, or lines, depths and poses to follow. */
export const STEER = 'cnImage';
/** The way of steering that paints only where its picture is white. */
export const INPAINT = 'inpaint';
export const START = 'startingImage';

const KEY_FRAME = /^keyframeImage(\d+)$/;
const LABELS: [RegExp, string, FileKind][] = [
  [/^startingImage$/, 'Begin with a picture', 'image'],
  [/^referenceImage$/, 'First frame', 'image'],
  [/^referenceImageEnd$/, 'Last frame', 'image'],
  [/^referenceMask$/, 'Mask', 'image'],
  [/^contextImage(\d+)$/, 'Context', 'image'],
  [KEY_FRAME, 'Key frame', 'image'],
  [/^referenceAudio\d*$/, 'Sound', 'audio'],
  [/^referenceVideo\d*$/, 'Video', 'video']
];

export function slotsOf(model: Model | undefined): Slot[] {
  return (model?.inputs ?? []).flatMap((role) => {
    const found = LABELS.find(([pattern]) => pattern.test(role));
    if (!found) return [];
    const number = /\d+$/.exec(role)?.[0];
    return [
      {
        role,
        label: found[1] + (number ? ` ${number}` : ''),
        kind: found[2],
        required: model?.requiredInputs?.includes(role) ?? false
      }
    ];
  });
}

export const isKeyFrame = (role: string): boolean => KEY_FRAME.test(role);

/** Whether a model can be told where in a picture to paint. */
export function paintsIn(model: Model | undefined): boolean {
  return model?.media === 'image' && has(model.controlNets, INPAINT) && has(model.inputs, START);
}

/** What else can steer a model; of pictures each needs a picture of its own, of videos only a name. */
export function steersOf(model: Model | undefined): string[] {
  return (model?.controlNets ?? []).filter((name) => model?.media !== 'image' || name !== INPAINT);
}

export const steerSlot = (name: string): Slot => ({
  role: STEER,
  label: name === INPAINT ? 'Mask' : `Picture for ${name}`,
  kind: 'image',
  required: true
});

/** The files that a request says it came with. */
export function filesOf(request: JobRequest, model: Model | undefined): Slot[] {
  const frame = request.keyFrames[0];
  const steer = frame.currentControlNetsJob?.[0];
  const found = slotsOf(model).filter((slot) => frame[flagOf(slot.role)]);
  return steer?.hasImage ? [...found, steerSlot(steer.name)] : found;
}

const has = (list: string[] | undefined, one: string): boolean => list?.includes(one) ?? false;

export const ACCEPTS: Record<FileKind, string> = {
  image: 'image/png,image/jpeg,image/webp,image/gif',
  audio: 'audio/mpeg,audio/wav,audio/flac,audio/ogg,audio/mp4,audio/aac',
  video: 'video/mp4,video/webm,video/quicktime'
};

/** `contextImage3` says `hasContextImage3` in a request. */
export function flagOf(role: string): string {
  return 'has' + role.charAt(0).toUpperCase() + role.slice(1);
}
