// The grid at a glance: what it does now, how that went lately, and who waits for which model.

import { useEffect } from 'preact/hooks';
import { signal } from '@preact/signals';
import { modelById } from '../state/catalog';
import { Chart, type Point } from '../ui/chart';
import { Segments } from '../ui/fields';
import { amount, plural } from '../ui/format';
import { Table } from '../ui/table';
import { activity, look, queue, queued, span, SPANS, workers, type Activity, type OpenProject, type Part } from './state';

interface Moment {
  atMs: number;
  workers: number;
  running: number;
  waiting: number;
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
    if (here) moments.value = [...moments.value, { atMs: Date.now(), workers: here.length, running, waiting }].slice(-MOST);
  }, [here]);
  const taking = (here ?? []).filter((one) => one.state === 'working').length;
  return (
    <>
      <section class="charts" aria-label="Now, and since this page was opened">
        <Live name="Workers" hint={`${taking} taking jobs`} of={(one) => one.workers} />
        <Live name="Rendering" hint={`of ${plural(slots, 'slot')}`} of={(one) => one.running} />
        <Live name="Waiting" hint={`in ${plural(queued.value, 'open project')}`} of={(one) => one.waiting} />
      </section>
      <ByModel />
      <Lately />
    </>
  );
}

/** How it went: what ended, how fast, and for how much. */
function Lately() {
  const told = activity.value;
  const parts = told?.parts ?? [];
  const delivered = sum(parts.map((one) => one.completed));
  const failed = sum(parts.map((one) => one.failed));
  const spark = sum(parts.map((one) => Number(one.spark)));
  const line = (of: (part: Part) => number) => (told ? everyPart(told, of) : []);
  const measured = (of: (part: Part) => number | undefined) =>
    parts.flatMap((part) => {
      const value = of(part);
      return value === undefined ? [] : [{ atMs: part.time, value }];
    });
  const average = (of: (part: Part) => number | undefined) =>
    delivered ? `${amount(sum(parts.map((one) => (of(one) ?? 0) * one.completed)) / delivered)} s` : '–';
  return (
    <section class="block" aria-labelledby="lately-title">
      <div class="spread wrap">
        <h2 id="lately-title">Lately</h2>
        <Segments
          name="How far back"
          value={span.value}
          options={SPANS}
          onValue={(minutes) => {
            span.value = minutes;
            void look();
          }}
        />
      </div>
      <p class="small muted num" role="status">
        {plural(delivered, 'job')} delivered, {failed} failed, {amount(spark)} spark charged.
      </p>
      <div class="charts small-ones">
        <Chart name="Delivered" headline={String(delivered)} points={line((one) => one.completed)} />
        <Chart name="Failed" headline={String(failed)} points={line((one) => one.failed)} />
        <Chart name="Waited" unit="s" headline={average((one) => one.waitedS)} points={measured((one) => one.waitedS)} />
        <Chart name="Rendered in" unit="s" headline={average((one) => one.renderedS)} points={measured((one) => one.renderedS)} />
        <Chart name="Charged" unit="spark" headline={amount(spark)} points={line((one) => Number(one.spark))} />
      </div>
    </section>
  );
}

/** A value for each part of the time, also for those in which nothing ended. */
function everyPart(told: Activity, of: (part: Part) => number): Point[] {
  const partMs = told.partS * 1000;
  const byTime = new Map(told.parts.map((part) => [part.time, of(part)]));
  return Array.from({ length: 60 }, (_, index) => {
    const atMs = told.since + index * partMs;
    return { atMs, value: byTime.get(atMs) ?? 0 };
  });
}

function Live({ name, hint, of }: { name: string; hint: string; of: (moment: Moment) => number }) {
  const points = moments.value.map((one) => ({ atMs: one.atMs, value: of(one) }));
  return <Chart name={name} hint={hint} points={points} />;
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
        <Table label="What is wanted" columns={['Model', { number: 'Workers' }, { number: 'Rendering' }, { number: 'Waiting' }, 'Why']}>
          {all.map((line) => (
            <tr key={line.modelId}>
              <td>{modelById.value.get(line.modelId)?.name ?? line.modelId}</td>
              <td class="end">{serving(line.modelId)}</td>
              <td class="end">{line.running}</td>
              <td class="end">{line.waiting}</td>
              <td class="why">{line.reasons.join('; ') || '–'}</td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  );
}
