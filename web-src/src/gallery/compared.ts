// Which two results stand side by side.

import { signal } from '@preact/signals';
import { all, shown, type Job, type Project } from '../state/projects';

/** A result, by its project and its place in it. */
export interface Shown {
  projectId: string;
  index: number;
}

export const compared = signal<{ left: Shown; right: Shown } | null>(null);

export const at = (project: Project, job: Job): Shown => ({ projectId: project.id, index: job.index });
export const sameResult = (a: Shown, b: Shown): boolean => a.projectId === b.projectId && a.index === b.index;

/** What may stand beside a result: the nearest relatives first. */
export function relatives(project: Project, job: Job): { project: Project; job: Job; kin: string }[] {
  const kinOf = (other: Project, one: Job): string => {
    if (job.seed !== null && one.seed === job.seed) return 'Same seed';
    if (other.id === project.id) return 'Made together';
    return other.prompt === project.prompt ? 'Same prompt' : 'Others';
  };
  const order = ['Same seed', 'Made together', 'Same prompt', 'Others'];
  return all.value
    .filter((other) => other.media === project.media)
    .flatMap((other) => shown(other).map((one) => ({ project: other, job: one, kin: kinOf(other, one) })))
    .filter((one) => !sameResult(at(one.project, one.job), at(project, job)))
    .sort((a, b) => order.indexOf(a.kin) - order.indexOf(b.kin));
}

/** Puts a result beside its nearest relative. */
export function compareWithKin(project: Project, job: Job): void {
  const [nearest] = relatives(project, job);
  if (nearest) compared.value = { left: at(project, job), right: at(nearest.project, nearest.job) };
}
