// One result, large, with everything that is known about it. Arrows go on, Escape leaves.

import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { asCommand, asPython } from '../create/code';
import { again, enhance, enhancer, resultFile, useAsInput, useSettings, vary } from '../create/submit';
import { linkTo, projectOf, setLink, shown, type Job, type Project } from '../state/projects';
import { copy } from '../ui/clipboard';
import { Dialog } from '../ui/dialog';
import { Icon } from '../ui/icon';
import { Player } from '../ui/player';
import { compareWithKin, relatives, type Shown } from './compared';
import { choices, outcome } from './facts';
import { fileName, save } from './files';
import { deleteResults } from './remove';

export const openViewer = signal<Shown | null>(null);
/** In which order arrows move on, set by the page that opened the viewer. */
export const neighbours = signal<Shown[] | null>(null);

function around(project: Project): Shown[] {
  const there = ({ projectId, index }: Shown) => projectOf(projectId)?.value.jobs[index]?.resultUrl;
  const list = neighbours.peek()?.filter(there);
  if (list?.some((one) => one.projectId === project.id)) return list;
  return shown(project).map((job) => ({ projectId: project.id, index: job.index }));
}

export function Viewer() {
  const at = openViewer.value!;
  const project = projectOf(at.projectId)?.value;
  const job = project?.jobs[at.index];
  const [details, setDetails] = useState(innerWidth > 760);
  const list = project ? around(project) : [];
  const place = list.findIndex((one) => one.projectId === at.projectId && one.index === at.index);

  function move(by: number) {
    const next = list[place + by];
    if (next) openViewer.value = next;
  }
  async function remove(project: Project, job: Job) {
    const next = list[place + 1] ?? list[place - 1] ?? null;
    if (await deleteResults([{ project, job }])) openViewer.value = next;
  }
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if (event.target instanceof HTMLInputElement) return;
      if (event.key === 'ArrowRight') move(1);
      else if (event.key === 'ArrowLeft') move(-1);
      else if (event.key === 'i') setDetails((open) => !open);
      else if (event.key === 'd' && project && job) void download(project, job);
    };
    addEventListener('keydown', key);
    return () => removeEventListener('keydown', key);
  });

  if (!project || !job) return null;
  const close = () => (openViewer.value = null);
  return (
    <Dialog title="Result" class="viewer" bare onClose={close}>
      <div class="viewer-bar">
        <span class="small muted num">
          {place + 1} / {list.length}
        </span>
        <span class="row">
          <button
            type="button"
            class="icon-button"
            aria-label="Details"
            aria-pressed={details}
            title="Details (I)"
            onClick={() => setDetails(!details)}
          >
            <Icon name="info" />
          </button>
          <button
            type="button"
            class="icon-button"
            aria-label="Delete"
            title="Delete"
            onClick={() => void remove(project, job)}
          >
            <Icon name="trash" />
          </button>
          <button
            type="button"
            class="icon-button"
            aria-label="Download"
            title="Download (D)"
            onClick={() => void download(project, job)}
          >
            <Icon name="download" />
          </button>
          <button type="button" class="icon-button" aria-label="Close" title="Close (Esc)" onClick={close}>
            <Icon name="close" />
          </button>
        </span>
      </div>
      <div class="viewer-stage">
        <Large project={project} job={job} />
        {place > 0 && (
          <button type="button" class="viewer-move left" aria-label="The one before" onClick={() => move(-1)}>
            <Icon name="left" />
          </button>
        )}
        {place < list.length - 1 && (
          <button type="button" class="viewer-move right" aria-label="The next one" onClick={() => move(1)}>
            <Icon name="right" />
          </button>
        )}
      </div>
      {details && <Details project={project} job={job} close={close} />}
    </Dialog>
  );
}

async function download(project: Project, job: Job): Promise<void> {
  const file = await resultFile(project, job);
  if (file) save(file, fileName(project, job, file.type));
}

function Large({ project, job }: { project: Project; job: Job }) {
  const mend = async () => {
    if (job.id) setLink(project.id, job.id, await linkTo(project, job));
  };
  if (!job.resultUrl) return <p class="empty">Its file is no longer kept.</p>;
  if (project.media === 'audio') return <Player project={project} job={job} onBroken={() => void mend()} />;
  if (project.media === 'video') {
    return <video key={job.id} src={job.resultUrl} controls loop autoPlay playsInline onError={() => void mend()} />;
  }
  return <img key={job.id} src={job.resultUrl} alt={job.prompt ?? project.prompt} onError={() => void mend()} />;
}

function Details({ project, job, close }: { project: Project; job: Job; close: () => void }) {
  const takesPicture = project.media === 'image';
  const facts = [...choices(project, job), ...outcome(project, job)];
  const then = (work: () => unknown) => () => {
    close();
    work();
  };
  return (
    <aside class="viewer-details">
      <p class="viewer-prompt">{job.prompt ?? project.prompt}</p>
      <div class="viewer-actions">
        <button type="button" class="button primary" onClick={then(() => vary(project, job))}>
          <Icon name="vary" /> Vary
        </button>
        {takesPicture && enhancer() && (
          <button type="button" class="button" onClick={then(() => enhance(project, job))}>
            <Icon name="create" /> Enhance
          </button>
        )}
        {takesPicture && (
          <button type="button" class="button" onClick={then(() => useAsInput(project, job))}>
            <Icon name="input" /> Use as input
          </button>
        )}
        <button type="button" class="button" onClick={then(() => again(project))}>
          <Icon name="again" /> Again
        </button>
        <button type="button" class="button" onClick={then(() => useSettings(project, job.seed))}>
          <Icon name="sliders" /> Settings and seed
        </button>
        {relatives(project, job).length > 0 && (
          <button type="button" class="button" onClick={then(() => compareWithKin(project, job))}>
            <Icon name="compare" /> Compare
          </button>
        )}
      </div>
      <dl class="facts">
        {facts.map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd class="num">{value}</dd>
          </div>
        ))}
      </dl>
      {project.request && (
        <div class="viewer-copies">
          <button
            type="button"
            class="button plain"
            onClick={() => void copy(asPython(project.request!, project.media), 'Python')}
          >
            <Icon name="code" /> Python
          </button>
          <button
            type="button"
            class="button plain"
            onClick={() => void copy(asCommand(project.request!, project.media), 'Command')}
          >
            <Icon name="terminal" /> Command
          </button>
          <button type="button" class="button plain" onClick={() => void copy(project.prompt, 'Prompt')}>
            <Icon name="copy" /> Prompt
          </button>
        </div>
      )}
    </aside>
  );
}
