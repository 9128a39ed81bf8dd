// Why something waits, or where it went, as the server explains it.

import { useEffect, useState } from 'preact/hooks';
import { path, rest, saying } from '../api/http';
import { toast, tried } from '../state/toasts';
import { Dialog } from '../ui/dialog';
import { duration } from '../ui/format';

interface Explanation {
  state: string;
  message: string;
  queuePosition: number;
  start: { seconds: number; earliestSeconds: number; latestSeconds: number } | null;
  jobs: { jobId: string; index: number; state: string; message: string; worker: string }[];
}

interface Props {
  id: string;
  /** For administrators: jobs that a worker has can be given to another. */
  requeue?: boolean;
  onClose: () => void;
}

export function Why({ id, requeue = false, onClose }: Props) {
  const [told, setTold] = useState<Explanation | null>(null);
  const [problem, setProblem] = useState('');
  useEffect(() => {
    rest<Explanation>('GET', path`/v1/explain/${id}`).then(setTold, (error: unknown) => setProblem(saying(error)));
  }, [id]);
  async function giveToAnother(jobId: string) {
    await tried(async () => {
      await rest('POST', path`/v1/admin/jobs/${jobId}/requeue`, { reason: 'from the studio' });
      toast('The job waits for a worker again.');
      setTold(await rest<Explanation>('GET', path`/v1/explain/${id}`));
    });
  }
  const first = told?.message ?? (problem || 'One moment …');
  return (
    <Dialog title="Where it stands" onClose={onClose}>
      <p role="status">{first}</p>
      {told?.start && (
        <p class="small muted num">
          Starts in about {duration(told.start.seconds)}; in eight of ten cases between{' '}
          {duration(told.start.earliestSeconds)} and {duration(told.start.latestSeconds)}.
        </p>
      )}
      {told && (told.jobs.length > 1 || requeue) && (
        <ol class="why-jobs small muted">
          {told.jobs.map((job) => (
            <li key={job.index}>
              {job.message}{' '}
              {requeue && job.state === 'rendering' && (
                <button type="button" class="link tiny" onClick={() => void giveToAnother(job.jobId)}>
                  Requeue
                </button>
              )}
            </li>
          ))}
        </ol>
      )}
    </Dialog>
  );
}
