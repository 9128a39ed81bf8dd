// Two results beside each other, or one above the other with an edge to move; and in what they differ.

import { useState } from 'preact/hooks';
import { projectOf, type Job, type Project } from '../state/projects';
import { Dialog } from '../ui/dialog';
import { Segments } from '../ui/fields';
import { Icon } from '../ui/icon';
import { Player } from '../ui/player';
import { at, compared, relatives, sameResult, type Shown } from './compared';
import { choices, outcome, type Fact } from './facts';

interface Side {
  project: Project;
  job: Job;
}

function sideOf(shown: Shown): Side | null {
  const project = projectOf(shown.projectId)?.value;
  const job = project?.jobs[shown.index];
  return project && job ? { project, job } : null;
}

export default function Compare() {
  const [view, setView] = useState<'beside' | 'slide'>('beside');
  const pair = compared.value!;
  const [left, right] = [sideOf(pair.left), sideOf(pair.right)];
  if (!left || !right) return null;
  const { media } = left.project;
  const close = () => (compared.value = null);
  return (
    <Dialog title="Compare" class="viewer comparing" bare onClose={close}>
      <div class="viewer-bar">
        {media === 'image' ? (
          <Segments
            name="How to compare"
            value={view}
            options={[
              ['beside', 'Side by side'],
              ['slide', 'Slide']
            ]}
            onValue={setView}
          />
        ) : (
          <h2>Compare</h2>
        )}
        <span class="row">
          <button
            type="button"
            class="icon-button"
            aria-label="Swap the two"
            title="Swap the two"
            onClick={() => (compared.value = { left: pair.right, right: pair.left })}
          >
            <Icon name="swap" />
          </button>
          <button type="button" class="icon-button" aria-label="Close" title="Close (Esc)" onClick={close}>
            <Icon name="close" />
          </button>
        </span>
      </div>
      <div class="compare-scroll">
        {media === 'image' && view === 'slide' ? (
          <Slide left={left} right={right} />
        ) : (
          <div class={`compare-pair ${media}`}>
            <One side={left} />
            <One side={right} />
          </div>
        )}
        <Differences left={left} right={right} />
      </div>
    </Dialog>
  );
}

function One({ side: { project, job } }: { side: Side }) {
  const name = job.prompt ?? project.prompt;
  if (!job.resultUrl) return <p class="empty">Its file is no longer kept.</p>;
  if (project.media === 'audio') return <Player project={project} job={job} />;
  if (project.media === 'video') return <video src={job.resultUrl} controls loop playsInline aria-label={name} />;
  return <img src={job.resultUrl} alt={name} />;
}

function Slide({ left, right }: { left: Side; right: Side }) {
  const [edge, setEdge] = useState(50);
  const ratio = left.project.width / left.project.height || 1;
  return (
    <div class="slide" style={{ '--ratio': ratio, '--edge': `${edge}%` }}>
      <One side={right} />
      <One side={left} />
      <i aria-hidden="true" />
      <input
        type="range"
        min={0}
        max={100}
        step={1}
        value={edge}
        aria-label="Where the two pictures meet"
        onInput={(event) => setEdge(Number(event.currentTarget.value))}
      />
    </div>
  );
}

/** Everything that is known of the two; lines that differ stand out. */
function Differences({ left, right }: { left: Side; right: Side }) {
  const [a, b] = [left, right].map(({ project, job }) => new Map<string, string>(told(project, job))) as [
    Map<string, string>,
    Map<string, string>
  ];
  const labels = [...new Set([...a.keys(), ...b.keys()])];
  return (
    <div class="table-wrap" tabIndex={0} role="region" aria-label="Differences">
      <table class="differences">
        <thead>
          <tr>
            <th>
              <span class="sr">What</span>
            </th>
            <th>
              <Choice side={left} other={right} where="left" />
            </th>
            <th>
              <Choice side={right} other={left} where="right" />
            </th>
          </tr>
        </thead>
        <tbody>
          {labels.map((label) => (
            <tr key={label} class={a.get(label) === b.get(label) ? 'same' : ''}>
              <th scope="row">{label}</th>
              <td>{a.get(label) ?? '–'}</td>
              <td>{b.get(label) ?? '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function told(project: Project, job: Job): Fact[] {
  return [['Prompt', job.prompt ?? project.prompt], ...choices(project, job), ...outcome(project, job)];
}

const MOST = 80;

/** Puts another result in the place of one of the two. */
function Choice({ side, other, where }: { side: Side; other: Side; where: 'left' | 'right' }) {
  const here = at(side.project, side.job);
  const choices = relatives(other.project, other.job);
  const kinds = [...new Set(choices.map((one) => one.kin))];
  const chosen = choices.findIndex((one) => sameResult(at(one.project, one.job), here));
  return (
    <select
      class="select"
      aria-label={where === 'left' ? 'Result on the left' : 'Result on the right'}
      value={chosen}
      onChange={(event) => {
        const one = choices[Number(event.currentTarget.value)];
        if (one) compared.value = { ...compared.value!, [where]: at(one.project, one.job) };
      }}
    >
      {kinds.map((kin) => (
        <optgroup key={kin} label={kin}>
          {choices.map(
            (one, index) =>
              one.kin === kin &&
              (index < MOST || index === chosen) && (
                <option key={index} value={index}>
                  {(one.job.prompt ?? one.project.prompt).slice(0, 50) || one.project.modelName} · {one.job.seed ?? one.job.index + 1}
                </option>
              )
          )}
        </optgroup>
      ))}
    </select>
  );
}
