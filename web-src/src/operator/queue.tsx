// Everybody's open projects: where each stands, why, and what can be done about it.

import { useState } from 'preact/hooks';
import { path, rest } from '../api/http';
import { Why } from '../create/why';
import { modelById } from '../state/catalog';
import { copy } from '../ui/clipboard';
import { ago, duration, when } from '../ui/format';
import { Menu } from '../ui/menu';
import { Table } from '../ui/table';
import { More } from './more';
import { act, queue, queued, type OpenProject } from './state';

function cancel(project: OpenProject): Promise<void> {
  return act(
    {
      title: `Cancel this project of ${project.username}?`,
      text: 'What was delivered stays paid, the rest is given back. It cannot be taken up again.',
      button: 'Cancel the project',
      danger: true
    },
    'The project is canceled.',
    (reason) => rest('POST', path`/v1/admin/projects/${project.id}/cancel`, { reason })
  );
}

export function Queue() {
  const [asking, setAsking] = useState<string | null>(null);
  return (
    <section aria-labelledby="queue-title">
      <h2 id="queue-title" class="sr">
        Open projects
      </h2>
      {queue.value.length === 0 ? (
        <p class="small muted">Nothing waits and nothing is rendered.</p>
      ) : (
        <Table label="Open projects" columns={['Of', 'Model', 'Jobs', 'Why it waits', 'Starts', 'Since']} actions>
          {queue.value.map((project) => (
            <tr key={project.id}>
              <td>{project.username}</td>
              <td>{modelById.value.get(project.modelId)?.name ?? project.modelId}</td>
              <td class="num">
                {project.done} done, {project.running} running of {project.jobs}
              </td>
              <td class="why">{project.reason ?? '–'}</td>
              <td class="num">{project.startsInS === undefined ? '–' : `in ${duration(project.startsInS)}`}</td>
              <td title={when(project.createTime)}>{ago(project.createTime)}</td>
              <td class="end">
                <Menu
                  label={`What to do with the project of ${project.username}`}
                  actions={[
                    { label: 'Explain', icon: 'question', run: () => setAsking(project.id) },
                    { label: 'Copy its id', icon: 'copy', run: () => copy(project.id, 'Project id') },
                    { label: 'Cancel', icon: 'close', danger: true, run: () => cancel(project) }
                  ]}
                />
              </td>
            </tr>
          ))}
        </Table>
      )}
      {queue.value.length < queued.value && (
        <More of="queue">
          {queue.value.length} of {queued.value} · show more
        </More>
      )}
      {asking && <Why id={asking} requeue onClose={() => setAsking(null)} />}
    </section>
  );
}
