// What was asked for, newest first, each with its tiles.

import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { deleteProject } from '../gallery/remove';
import { openViewer } from '../gallery/viewer';
import {
  isOpen,
  listed,
  load,
  mediaKeptS,
  nextPage,
  order,
  projectOf,
  type Project
} from '../state/projects';
import { workers } from '../state/catalog';
import { tried } from '../state/toasts';
import { copy } from '../ui/clipboard';
import { ago, amount, duration, plural, when } from '../ui/format';
import { Icon } from '../ui/icon';
import { Menu, type Action } from '../ui/menu';
import { asCommand, asPython } from './code';
import { edit } from './draft';
import { again, cancel, useSettings } from './submit';
import { Tile } from './tile';
import { Why } from './why';

export function Stream() {
  const ids = order.value;
  const ready = Object.values(workers.value).some((count) => count > 0);
  return (
    <section class="stream" aria-label="Your work">
      <h1 class="sr">Create</h1>
      {!listed.value && <Waiting />}
      {listed.value && ids.length === 0 && <FirstTime ready={ready} />}
      <ol class="projects">
        {ids.map((id) => (
          <ProjectRow key={id} project={projectOf(id)!} />
        ))}
      </ol>
      {nextPage.value !== null && (
        <button type="button" class="button older" onClick={() => void tried(() => load(true))}>
          Show older ones
        </button>
      )}
    </section>
  );
}

function Waiting() {
  return (
    <div class="projects" aria-hidden="true">
      {[0, 1].map((row) => (
        <div key={row} class="stack">
          <div class="skeleton" style={{ height: 20, width: '40%' }} />
          <div class="tiles">
            {[0, 1, 2, 3].map((tile) => (
              <div key={tile} class="skeleton" style={{ aspectRatio: 1 }} />
            ))}
          </div>
        </div>
      ))}
    </div>
  );
}

const IDEAS = ['a red apple', 'a {red|blue|yellow|green} sailboat', 'a castle', 'a penguin'];

function FirstTime({ ready }: { ready: boolean }) {
  return (
    <div class="empty">
      <Icon name="create" />
      <h2>Nothing made yet</h2>
      <p>
        {ready
          ? 'Write what you want to see and press Create. It takes a moment, and you can watch.'
          : 'No worker is connected. On any machine, `dreamgrid work` joins one; what you ask for waits until then.'}
      </p>
      <div class="ideas">
        {IDEAS.map((idea) => (
          <button
            key={idea}
            type="button"
            class="button"
            onClick={() => {
              edit({ prompt: idea, count: idea.includes('|') ? 4 : 1 });
              document.getElementById('prompt')?.focus();
            }}
          >
            {idea}
          </button>
        ))}
      </div>
    </div>
  );
}

function ProjectRow({ project: source }: { project: Signal<Project> }) {
  const project = source.value;
  const failed = project.status === 'failed' && project.reason;
  const [asking, setAsking] = useState(false);
  return (
    <li class="project" data-testid="project" data-status={project.status}>
      <header class="project-head">
        <div>
          <h2 class="project-prompt">{project.prompt || project.modelName}</h2>
          <p class="project-meta tiny muted">
            <Meta project={project} />
          </p>
        </div>
        <div class="project-actions">
          {isOpen(project) && project.status !== 'sending' && (
            <button type="button" class="button plain" onClick={() => setAsking(true)}>
              <Icon name="question" /> Why?
            </button>
          )}
          {isOpen(project) ? (
            <button
              type="button"
              class="button"
              disabled={project.canceling}
              onClick={() => cancel(project)}
            >
              {project.canceling ? 'Canceling …' : 'Cancel'}
            </button>
          ) : (
            <button
              type="button"
              class="icon-button"
              aria-label="Make it again"
              title="Make it again"
              onClick={() => void again(project)}
            >
              <Icon name="again" />
            </button>
          )}
          <button
            type="button"
            class="icon-button"
            aria-label="Use these settings"
            title="Use these settings"
            onClick={() => void useSettings(project, project.request?.keyFrames[0].seed ?? null)}
          >
            <Icon name="sliders" />
          </button>
          {project.status !== 'sending' && (
            <Menu
              label="More to do"
              actions={[
                ...copies(project),
                ...(isOpen(project)
                  ? []
                  : [{ label: 'Delete', icon: 'trash' as const, danger: true, run: () => deleteProject(project) }])
              ]}
            />
          )}
        </div>
      </header>
      {asking && <Why id={project.id} onClose={() => setAsking(false)} />}
      {failed && (
        <p class="notice bad small">
          <Icon name="warn" /> <span>{project.reason}</span>
        </p>
      )}
      <div class={`tiles ${project.media} n${Math.min(4, project.jobs.length)}`}>
        {project.jobs.map((job) => (
          <Tile
            key={job.index}
            project={project}
            job={job}
            open={() => (openViewer.value = { projectId: project.id, index: job.index })}
          />
        ))}
      </div>
    </li>
  );
}

function copies(project: Project): Action[] {
  const { request, media, prompt } = project;
  if (!request) return [];
  return [
    { label: 'Copy the prompt', icon: 'copy', run: () => copy(prompt, 'Prompt') },
    { label: 'Copy as Python', icon: 'code', run: () => copy(asPython(request, media), 'Python') },
    { label: 'Copy as command', icon: 'terminal', run: () => copy(asCommand(request, media), 'Command') }
  ];
}

function Meta({ project }: { project: Project }) {
  const kept = (project.endedMs || project.createdMs) + mediaKeptS.value * 1000 - Date.now();
  const parts: ComponentChildren[] = [
    project.modelName,
    project.width > 0 && project.media !== 'audio' && `${project.width} × ${project.height}`,
    project.jobs.length > 1 && plural(project.jobs.length, 'result'),
    project.cost && `${amount(project.cost)} ${project.token}`,
    <time key="time" dateTime={new Date(project.createdMs).toISOString()} title={when(project.createdMs)}>
      {ago(project.createdMs)}
    </time>,
    !isOpen(project) && kept > 0 && kept < 6 * 3600_000 && `kept for ${duration(kept / 1000)} more`,
    project.status === 'canceled' && 'canceled'
  ];
  return (
    <>
      {parts.filter(Boolean).map((part, index) => (
        <span key={index} class="num">
          {part}
        </span>
      ))}
    </>
  );
}
