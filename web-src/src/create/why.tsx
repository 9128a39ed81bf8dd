// Why something waits, or where it went, as the server explains it.

import { useEffect, useState } from 'preact/hooks';
import { path, rest, saying } from '../api/http';
import { Dialog } from '../ui/dialog';
import { duration } from '../ui/format';

interface Explanation {
  state: string;
  message: string;
  queuePosition: number;
  start: { seconds: number; earliestSeconds: number; latestSeconds: number } | null;
  jobs: { index: number; message: string; worker: string }[];
}

export function Why({ id, onClose }: { id: string; onClose: () => void }) {
  const [told, setTold] = useState<Explanation | null>(null);
  const [problem, setProblem] = useState('');
  useEffect(() => {
    rest<Explanation>('GET', path`/v1/explain/${id}`).then(setTold, (error: unknown) => setProblem(saying(error)));
  }, [id]);
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
      {told && told.jobs.length > 1 && (
        <ol class="why-jobs small muted">
          {told.jobs.map((job) => (
            <li key={job.index}>{job.message}</li>
          ))}
        </ol>
      )}
    </Dialog>
  );
}
