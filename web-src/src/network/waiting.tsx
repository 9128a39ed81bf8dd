// What of one's own is on its way, from this page or from anywhere: how far, and what it waits for.

import { useState } from 'preact/hooks';
import { Why } from '../create/why';
import { cancel } from '../create/submit';
import { all, isOpen, type Project } from '../state/projects';
import { ago, duration, when } from '../ui/format';
import { Table } from '../ui/table';

export function Waiting() {
  const [asking, setAsking] = useState<string | null>(null);
  const open = all.value.filter(isOpen);
  return (
    <section class="block" aria-labelledby="waiting-title">
      <h2 id="waiting-title">On its way</h2>
      {open.length === 0 ? (
        <p class="small muted">Nothing of yours waits, and nothing is rendered.</p>
      ) : (
        <Table label="On its way" columns={['What', 'Model', 'Results', 'Why it waits', 'Starts', 'Since']} actions>
          {open.map((project) => (
            <tr key={project.id}>
              <td class="why">{project.prompt || project.modelName}</td>
              <td>{project.modelName}</td>
              <td class="num">{stateOf(project)}</td>
              <td class="why">{reasonOf(project)}</td>
              <td class="num">{project.startsInS === null || !waits(project) ? '–' : `in ${duration(project.startsInS)}`}</td>
              <td title={when(project.createdMs)}>{ago(project.createdMs)}</td>
              <td class="end">
                <button type="button" class="button plain" onClick={() => setAsking(project.id)}>
                  Why?<span class="sr"> {project.prompt}</span>
                </button>{' '}
                <button type="button" class="button plain" disabled={project.canceling} onClick={() => cancel(project)}>
                  Cancel<span class="sr"> {project.prompt}</span>
                </button>
              </td>
            </tr>
          ))}
        </Table>
      )}
      {asking && <Why id={asking} onClose={() => setAsking(null)} />}
    </section>
  );
}

const waits = (project: Project): boolean => project.jobs.some((job) => job.status === 'waiting');

function stateOf({ jobs }: Project): string {
  const done = jobs.filter((job) => job.status === 'completed').length;
  const running = jobs.filter((job) => job.status === 'running' || job.status === 'loading').length;
  return `${done} done, ${running} running of ${jobs.length}`;
}

function reasonOf(project: Project): string {
  if (!waits(project)) return '–';
  if (project.waiting) return project.waiting.message;
  return project.position !== null && project.position > 1 ? `Number ${project.position} in the queue` : 'Next in the queue';
}
