// What is known of a result, as lines of a label and a value.

import { lorasOf } from '../create/draft';
import { settingsOf } from '../create/settings';
import { loraById, modelById } from '../state/catalog';
import type { Job, Project } from '../state/projects';
import { amount, duration, when } from '../ui/format';

export type Fact = [label: string, value: string];

/** How it was made: what somebody may have chosen. */
export function choices(project: Project, job: Job): Fact[] {
  const model = modelById.value.get(project.modelId);
  const frame = project.request?.keyFrames[0];
  const asked: [string, unknown][] = settingsOf(model, true)
    .filter((setting) => setting.name !== 'steps')
    .map((setting) => [setting.label, frame?.[setting.wire]]);
  return filled([
    ['Model', model?.name ?? project.modelName],
    ['Size', project.width && project.media !== 'audio' ? `${project.width} × ${project.height}` : null],
    ['Seed', job.seed],
    ['Steps', job.stepCount > 1 ? job.stepCount : null],
    ...asked,
    ['Steered by', frame?.currentControlNetsJob?.[0]?.name],
    ['LoRAs', frame && lorasOf(frame).map(({ id, strength }) => `${loraById.value.get(id)?.name ?? id} ${strength}`).join(', ')],
    ['Not wanted', frame?.negativePrompt],
    ['Style', frame?.stylePrompt]
  ]);
}

/** What became of it. */
export function outcome(project: Project, job: Job): Fact[] {
  return filled([
    ['Worker', job.worker],
    ['Rendered in', job.tookS === null ? null : duration(job.tookS)],
    ['Project cost', `${amount(project.cost)} ${project.token}`],
    ['Made', when(project.endedMs || project.createdMs)]
  ]);
}

function filled(facts: [string, unknown][]): Fact[] {
  return facts
    .filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(([label, value]) => [label, value === true ? 'yes' : value === false ? 'no' : String(value)]);
}
