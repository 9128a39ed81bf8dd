// Which files a model takes: from its catalogue entry. Roles are the server's words.

import type { Model } from '../api/types';

export type FileKind = 'image' | 'audio' | 'video';

export interface Slot {
  role: string;
  label: string;
  kind: FileKind;
  required: boolean;
}

const LABELS: [RegExp, string, FileKind][] = [
  [/^startingImage$/, 'Begin with a picture', 'image'],
  [/^referenceImage$/, 'First frame', 'image'],
  [/^referenceImageEnd$/, 'Last frame', 'image'],
  [/^referenceMask$/, 'Mask', 'image'],
  [/^cnImage$/, 'Steer by a picture', 'image'],
  [/^contextImage(\d+)$/, 'Context', 'image'],
  [/^keyframeImage(\d+)$/, 'Key frame', 'image'],
  [/^referenceAudio\d*$/, 'Sound', 'audio'],
  [/^referenceVideo\d*$/, 'Video', 'video']
];

export function slotsOf(model: Model | undefined): Slot[] {
  return (model?.inputs ?? []).flatMap((role) => {
    const found = LABELS.find(([pattern]) => pattern.test(role));
    if (!found || role === 'cnImage' || role.startsWith('keyframeImage')) return []; // need more than a file
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

export const ACCEPTS: Record<FileKind, string> = {
  image: 'image/png,image/jpeg,image/webp,image/gif',
  audio: 'audio/mpeg,audio/wav,audio/flac,audio/ogg,audio/mp4,audio/aac',
  video: 'video/mp4,video/webm,video/quicktime'
};

/** `contextImage3` says `hasContextImage3` in a request. */
export function flagOf(role: string): string {
  return 'has' + role.charAt(0).toUpperCase() + role.slice(1);
}
