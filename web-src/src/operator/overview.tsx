// The grid at a glance: what it does now, how that went lately, and who waits for which model.

import { useEffect } from 'preact/hooks';
import { signal } from '@preact/signals';
import { Stat } from '../account/page';
import { modelById } from '../state/catalog';
import { Chart } from '../ui/chart';
import { plural } from '../ui/format';
import { queue, queued, workers, type OpenProject } from './state';

interface Moment {
  atMs: number;
  running: number;
  waiting: number;
  slots: number;
}

const MOST = 200; // ten minutes
/** What was seen since the page was opened first: the grid itself remembers no such thing. */
const moments = signal<Moment[]>([]);

const waitingOf = (project: OpenProject): number => project.jobs - project.running - project.done;
const sum = (values: number[]): number => values.reduce((all, one) => all + one, 0);

export function Overview() {
  const here = workers.value;
  const slots = sum((here ?? []).map((one) => one.slots));
  const running = sum(queue.value.map((one) => one.running));
  const waiting = sum(queue.value.map(waitingOf));
  useEffect(() => {
    if (here) moments.value = [...moments.value, { atMs: Date.now(), running, waiting, slots }].slice(-MOST);
  }, [here]);
  const taking = (here ?? []).filter((one) => one.state === 'working').length;
  return (
    <>
      <section class="stats" aria-label="At a glance">
        <Stat label="Workers" value={here?.length ?? '–'} hint={`${taking} taking jobs`} />
        <Stat label="Rendering" value={running} hint={`of ${plural(slots, 'slot')}`} />
        <Stat label="Waiting" value={waiting} hint={`in ${plural(queued.value, 'open project')}`} />
      </section>
      <section class="charts" aria-label="Since this page was opened">
        <Live name="Rendering" of={(one) => one.running} />
        <Live name="Waiting" of={(one) => one.waiting} />
        <Live name="Slots" of={(one) => one.slots} />
      </section>
      <ByModel />
    </>
  );
}

function Live({ name, of }: { name: string; of: (moment: Moment) => number }) {
  return (
    <Chart name={name} unit="" points={moments.value.map((one) => ({ atMs: one.atMs, value: of(one) }))} />
  );
}

interface Line {
  modelId: string;
  running: number;
  waiting: number;
  oldestMs: number;
  reasons: string[];
}

/** The queue of each model that anybody waits for, the longest first. */
function lines(): Line[] {
  const found = new Map<string, Line>();
  for (const project of queue.value) {
    const { modelId } = project;
    const line = found.get(modelId) ?? { modelId, running: 0, waiting: 0, oldestMs: project.createTime, reasons: [] };
    line.running += project.running;
    line.waiting += waitingOf(project);
    line.oldestMs = Math.min(line.oldestMs, project.createTime);
    if (project.reason && !line.reasons.includes(project.reason)) line.reasons.push(project.reason);
    found.set(modelId, line);
  }
  return [...found.values()].sort((a, b) => b.waiting - a.waiting);
}

function ByModel() {
  const all = lines();
  const serving = (id: string) => (workers.value ?? []).filter((one) => one.models.includes(id)).length;
  return (
    <section class="block" aria-labelledby="models-title">
      <h2 id="models-title">What is wanted</h2>
      {all.length === 0 ? (
        <p class="small muted">Nothing waits and nothing is rendered.</p>
      ) : (
        <div class="table-wrap" tabIndex={0} role="region" aria-label="What is wanted">
          <table>
            <thead>
              <tr>
                <th>Model</th>
                <th class="end">Workers</th>
                <th class="end">Rendering</th>
                <th class="end">Waiting</th>
                <th>Why</th>
              </tr>
            </thead>
            <tbody>
              {all.map((line) => (
                <tr key={line.modelId}>
                  <td>{modelById.value.get(line.modelId)?.name ?? line.modelId}</td>
                  <td class="end">{serving(line.modelId)}</td>
                  <td class="end">{line.running}</td>
                  <td class="end">{line.waiting}</td>
                  <td class="why">{line.reasons.join('; ') || '–'}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
