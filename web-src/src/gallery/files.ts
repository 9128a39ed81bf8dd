// Results as files of this machine.

import type { Job, Project } from '../state/projects';

const SUFFIX: Record<string, string> = {
  'image/png': 'png',
  'image/jpeg': 'jpg',
  'image/webp': 'webp',
  'video/mp4': 'mp4',
  'video/webm': 'webm',
  'video/quicktime': 'mov',
  'audio/mpeg': 'mp3',
  'audio/flac': 'flac',
  'audio/wav': 'wav'
};

/** `a-red-apple-7.png`: the prompt and the seed, so that it is found again. */
export function fileName(project: Project, job: Job, type: string): string {
  const words = (job.prompt ?? project.prompt)
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 48);
  return `${words || project.media}-${job.seed ?? job.index}.${SUFFIX[type.split(';')[0]!] ?? 'bin'}`;
}

export function save(file: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
