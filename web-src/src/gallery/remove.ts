// Taking results out of the account, for good. What they cost stays in the statement.

import { isOpen, removeProject, removeResult, shown, type Job, type Project } from '../state/projects';
import { toast, tried } from '../state/toasts';
import { ask } from '../ui/asking';
import { plural } from '../ui/format';

const FOR_GOOD = 'The files are removed from the server at once and cannot be brought back. What they cost stays in your statement.';

export async function deleteProject(project: Project): Promise<boolean> {
  const many = project.jobs.length > 1 ? ` with its ${project.jobs.length} results` : '';
  return removed(`Delete this${many}?`, [[project, project.jobs]]);
}

/** Deletes results; a project of which nothing would be left is deleted whole. */
export async function deleteResults(chosen: readonly { project: Project; job: Job }[]): Promise<boolean> {
  const byProject = new Map<Project, Job[]>();
  for (const { project, job } of chosen) byProject.set(project, [...(byProject.get(project) ?? []), job]);
  return removed(`Delete ${plural(chosen.length, 'result')}?`, [...byProject]);
}

async function removed(title: string, wanted: [Project, readonly Job[]][]): Promise<boolean> {
  if (wanted.some(([project]) => isOpen(project))) {
    toast('What is still in the making can be deleted when it has ended, or after you cancel it.', 'error');
    return false;
  }
  const answer = await ask({ title, text: FOR_GOOD, button: 'Delete', danger: true });
  if (answer === null) return false;
  const done = await tried(async () => {
    for (const [project, jobs] of wanted) {
      const left = shown(project).filter((job) => !jobs.some((one) => one.index === job.index));
      if (left.length === 0) await removeProject(project.id);
      else for (const job of jobs) if (job.id) await removeResult(project.id, job.id);
    }
    toast('Deleted.');
    return true;
  });
  return done ?? false;
}
