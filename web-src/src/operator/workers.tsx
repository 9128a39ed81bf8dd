// Who renders: what each is doing, and who is paused though it is away.

import { path, rest } from '../api/http';
import { modelById } from '../state/catalog';
import { ago, plural } from '../ui/format';
import { Icon } from '../ui/icon';
import { Menu, type Action } from '../ui/menu';
import { act, bans, workers, type Ban, type Worker } from './state';

const STATES = { working: 'good', draining: 'warn', resting: 'bad', paused: 'warn' };

const order = (worker: string, action: 'pause' | 'resume' | 'drain', reason: string) =>
  rest('POST', '/v1/admin/workers', { worker, action, reason });

function actionsFor(worker: Worker): Action[] {
  const { id, name } = worker;
  const pause = () =>
    act(
      { title: `Pause ${name}?`, text: 'It finishes what it has and gets nothing more until you resume it.', button: 'Pause' },
      `${name} is paused.`,
      (reason) => order(id, 'pause', reason)
    );
  const resume = () =>
    act({ title: `Resume ${name}?`, button: 'Resume' }, `${name} gets jobs again.`, (reason) => order(id, 'resume', reason));
  const drain = () =>
    act(
      { title: `Drain ${name}?`, text: 'It finishes what it has and leaves. It gets jobs again when it connects again.', button: 'Drain' },
      `${name} finishes what it has.`,
      (reason) => order(id, 'drain', reason)
    );
  const ban = () =>
    act(
      {
        title: `Ban ${worker.owner}?`,
        text: `All workers, apps and keys of the account ${worker.owner} are cut off at once.`,
        button: 'Ban the owner',
        danger: true
      },
      `${worker.owner} is banned.`,
      (reason) => rest('POST', '/v1/admin/bans', { kind: 'account', target: worker.owner, reason })
    );
  return [
    worker.state === 'paused'
      ? { label: 'Resume', icon: 'play', run: resume }
      : { label: 'Pause', icon: 'pause', run: pause },
    { label: 'Drain until it connects again', icon: 'leave', run: drain },
    { label: 'Ban its owner', icon: 'lock', danger: true, run: ban }
  ];
}

export function Workers() {
  const here = new Set(workers.value?.map((one) => one.id));
  const away = bans.value.filter((one) => one.kind === 'worker' && !here.has(one.target));
  return (
    <section aria-labelledby="workers-title">
      <h2 id="workers-title" class="sr">
        Workers
      </h2>
      {workers.value?.length === 0 && (
        <p class="notice">
          <Icon name="info" />
          <span>
            None is connected. On any machine that reaches this address: <code>dreamgrid work --server {location.origin} --key …</code>
          </span>
        </p>
      )}
      <div class="cards">{workers.value?.map((worker) => <Card key={worker.id} worker={worker} />)}</div>
      {away.length > 0 && <Away away={away} />}
    </section>
  );
}

function Card({ worker }: { worker: Worker }) {
  const jobs = worker.jobs ?? [];
  return (
    <article class="card worker">
      <div class="spread">
        <h3>
          <span class={`dot ${STATES[worker.state]}`} /> {worker.name}
        </h3>
        <Menu label={`What to do with ${worker.name}`} actions={actionsFor(worker)} />
      </div>
      <p class="tiny muted">
        {worker.state} · {worker.network} · of {worker.owner}
      </p>
      <div class="slots-row" role="img" aria-label={`${jobs.length} of ${plural(worker.slots, 'slot')} busy`}>
        {Array.from({ length: Math.min(worker.slots, 32) }, (_, at) => (
          <i key={at} class={at < jobs.length ? 'busy' : ''} />
        ))}
        <span class="tiny muted num">
          {jobs.length} / {worker.slots}
        </span>
      </div>
      {worker.pausedReason && <p class="tiny bad-text">{worker.pausedReason}</p>}
      {jobs.length > 0 && (
        <ul class="held">
          {jobs.map((job) => (
            <li key={job} class="spread tiny">
              <code title={job}>{job.slice(0, 8)}…{job.slice(-4)}</code>
              <button type="button" class="link muted" onClick={() => void requeue(job, worker.name)}>
                Requeue<span class="sr"> {job}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
      <p class="tiny muted clamp" title={worker.models.join(', ')}>
        {worker.models.map((id) => modelById.value.get(id)?.name ?? id).join(', ')}
      </p>
    </article>
  );
}

function requeue(job: string, name: string): Promise<void> {
  return act(
    { title: 'Give this job to another worker?', text: `${name} stops it; that counts as no failure.`, button: 'Requeue' },
    'The job waits for a worker again.',
    (reason) => rest('POST', path`/v1/admin/jobs/${job}/requeue`, { reason })
  );
}

function Away({ away }: { away: Ban[] }) {
  return (
    <section class="block" aria-labelledby="away-title">
      <h2 id="away-title">Paused, and not here</h2>
      <ul class="plain-list">
        {away.map((one) => (
          <li key={one.target} class="spread small">
            <span>
              {one.target.split('/').pop()} <span class="muted">· {ago(one.time)}{one.reason && ` · ${one.reason}`}</span>
            </span>
            <button
              type="button"
              class="button"
              onClick={() =>
                void act({ title: `Resume ${one.target.split('/').pop()}?`, button: 'Resume' }, 'It gets jobs when it comes back.', (reason) =>
                  order(one.target, 'resume', reason)
                )
              }
            >
              Resume
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
