// The grid at a glance, for whoever runs it: workers, what waits and why, accounts, what was done.

import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { path, query, rest, saying } from '../api/http';
import { Stat } from '../account/page';
import { modelById } from '../state/catalog';
import { toast, tried } from '../state/toasts';
import { Dialog } from '../ui/dialog';
import { TextField } from '../ui/fields';
import { ago, amount, plural, when } from '../ui/format';
import { Icon } from '../ui/icon';
import { Menu, type Action } from '../ui/menu';

interface Worker {
  id: string;
  name: string;
  owner: string;
  network: string;
  models: string[];
  slots: number;
  jobs?: string[];
  state: 'working' | 'draining' | 'resting' | 'paused';
  pausedReason?: string;
}

interface Waiting {
  id: string;
  username: string;
  modelId: string;
  jobs: number;
  running: number;
  done: number;
  createTime: number;
  startsInS?: number;
  reason?: string;
}

interface Account {
  username: string;
  createTime: number;
  spark: string;
  bannedReason?: string;
}

interface Done {
  id: number;
  time: number;
  actor: string;
  action: string;
  target: string;
  detail?: string;
  reason?: string;
}

const EVERY_MS = 3_000;
const workers = signal<Worker[] | null>(null);
const queue = signal<Waiting[]>([]);
const accounts = signal<Account[]>([]);
const actions = signal<Done[]>([]);
const problem = signal('');
const search = signal('');

async function look(): Promise<void> {
  try {
    const [who, what, people, log] = await Promise.all([
      rest<{ workers: Worker[] }>('GET', '/v1/admin/workers'),
      rest<{ projects: Waiting[] }>('GET', '/v1/admin/projects'),
      rest<{ accounts: Account[] }>('GET', query('/v1/admin/accounts', { limit: 50, search: search.value || undefined })),
      rest<{ actions: Done[] }>('GET', query('/v1/admin/actions', { limit: 12 }))
    ]);
    [workers.value, queue.value, accounts.value, actions.value] = [who.workers, what.projects, people.accounts, log.actions];
    problem.value = '';
  } catch (error) {
    problem.value = saying(error);
  }
}

export default function OperatorPage() {
  useEffect(() => {
    void look();
    const timer = setInterval(() => !document.hidden && void look(), EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const here = workers.value ?? [];
  const slots = here.reduce((sum, one) => sum + one.slots, 0);
  const running = queue.value.reduce((sum, one) => sum + one.running, 0);
  const waiting = queue.value.reduce((sum, one) => sum + one.jobs - one.running - one.done, 0);
  const money = accounts.value.reduce((sum, one) => sum + Number(one.spark), 0);
  return (
    <div class="page">
      <header class="page-head">
        <div>
          <h1>Grid</h1>
          <p class="small muted">What it does now. It is asked again every three seconds.</p>
        </div>
      </header>
      {problem.value && (
        <p class="notice bad" role="alert">
          <Icon name="warn" /> <span>{problem.value}</span>
        </p>
      )}
      <section class="stats" aria-label="At a glance">
        <Stat label="Workers" value={here.length} hint={`${here.filter((one) => one.state === 'working').length} taking jobs`} />
        <Stat label="Rendering" value={running} hint={`of ${plural(slots, 'slot')}`} />
        <Stat label="Waiting" value={waiting} hint={`in ${plural(queue.value.length, 'open project')}`} />
        <Stat label="In accounts" value={amount(money)} hint={`spark, ${plural(accounts.value.length, 'account')} shown`} />
      </section>
      <Workers />
      <Queue />
      <Accounts />
      <Trail />
    </div>
  );
}

const STATES = { working: 'good', draining: 'warn', resting: 'bad', paused: 'warn' };

function Workers() {
  const order = async (worker: Worker, action: 'pause' | 'resume' | 'drain') => {
    await tried(() => rest('POST', '/v1/admin/workers', { worker: worker.id, action }));
    await look();
  };
  return (
    <section class="block" aria-labelledby="workers-title">
      <h2 id="workers-title">Workers</h2>
      {workers.value?.length === 0 && (
        <p class="notice">
          <Icon name="info" />
          <span>
            None is connected. On any machine that reaches this address: <code>dreamgrid work --server {location.origin} --key …</code>
          </span>
        </p>
      )}
      <div class="cards">
        {workers.value?.map((worker) => {
          const busy = worker.jobs?.length ?? 0;
          const paused = worker.state === 'paused';
          return (
            <article key={worker.id} class="card worker">
              <div class="spread">
                <h3>
                  <span class={`dot ${STATES[worker.state]}`} /> {worker.name}
                </h3>
                <Menu
                  label={`What to do with ${worker.name}`}
                  actions={[
                    paused
                      ? { label: 'Resume', icon: 'play', run: () => order(worker, 'resume') }
                      : { label: 'Pause', icon: 'pause', run: () => order(worker, 'pause') },
                    { label: 'Drain until it connects again', icon: 'leave', run: () => order(worker, 'drain') }
                  ]}
                />
              </div>
              <p class="tiny muted">
                {worker.state} · {worker.network} · of {worker.owner}
              </p>
              <div class="slots-row" role="img" aria-label={`${busy} of ${plural(worker.slots, 'slot')} busy`}>
                {Array.from({ length: Math.min(worker.slots, 32) }, (_, at) => (
                  <i key={at} class={at < busy ? 'busy' : ''} />
                ))}
                <span class="tiny muted num">
                  {busy} / {worker.slots}
                </span>
              </div>
              {worker.pausedReason && <p class="tiny bad-text">{worker.pausedReason}</p>}
              <p class="tiny muted clamp" title={worker.models.join(', ')}>
                {worker.models.map((id) => modelById.value.get(id)?.name ?? id).join(', ')}
              </p>
            </article>
          );
        })}
      </div>
    </section>
  );
}

function Queue() {
  const cancel = async (project: Waiting) => {
    if (!confirm(`End this project of ${project.username}? What was delivered stays paid, the rest is given back.`)) return;
    await tried(() => rest('POST', path`/v1/admin/projects/${project.id}/cancel`, {}));
    await look();
  };
  return (
    <section class="block" aria-labelledby="queue-title">
      <h2 id="queue-title">Open projects</h2>
      {queue.value.length === 0 ? (
        <p class="small muted">Nothing waits and nothing is rendered.</p>
      ) : (
        <div class="table-wrap" tabIndex={0} role="region" aria-label="Open projects">
          <table>
            <thead>
              <tr>
                <th>Of</th>
                <th>Model</th>
                <th>Jobs</th>
                <th>Why it waits</th>
                <th>Since</th>
                <th>
                  <span class="sr">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {queue.value.map((project) => (
                <tr key={project.id}>
                  <td>{project.username}</td>
                  <td>{modelById.value.get(project.modelId)?.name ?? project.modelId}</td>
                  <td class="num">
                    {project.done} done, {project.running} running of {project.jobs}
                  </td>
                  <td class="why">{project.reason ?? '–'}</td>
                  <td title={when(project.createTime)}>{ago(project.createTime)}</td>
                  <td class="end">
                    <button
                      type="button"
                      class="icon-button"
                      aria-label={`Cancel the project of ${project.username}`}
                      title="Cancel"
                      onClick={() => void cancel(project)}
                    >
                      <Icon name="close" />
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Accounts() {
  const [granting, setGranting] = useState<Account | null>(null);
  const [banning, setBanning] = useState<Account | null>(null);
  const lift = async (account: Account) => {
    await tried(() => rest('POST', '/v1/admin/bans', { kind: 'account', target: account.username, lift: true }));
    await look();
  };
  const actionsFor = (account: Account): Action[] => [
    { label: 'Grant spark', icon: 'plus', run: () => setGranting(account) },
    account.bannedReason === undefined
      ? { label: 'Ban', icon: 'lock', danger: true, run: () => setBanning(account) }
      : { label: 'Lift the ban', icon: 'check', run: () => lift(account) }
  ];
  return (
    <section class="block" aria-labelledby="accounts-title">
      <div class="spread wrap">
        <h2 id="accounts-title">Accounts</h2>
        <label class="search">
          <Icon name="search" />
          <input
            class="input"
            type="search"
            aria-label="Search accounts"
            placeholder="Name"
            value={search.value}
            onInput={(event) => {
              search.value = event.currentTarget.value;
              void look();
            }}
          />
        </label>
      </div>
      <div class="table-wrap" tabIndex={0} role="region" aria-label="Accounts">
        <table>
          <thead>
            <tr>
              <th>Name</th>
              <th class="end">To spend</th>
              <th>Since</th>
              <th>State</th>
              <th>
                <span class="sr">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {accounts.value.map((account) => (
              <tr key={account.username}>
                <td>{account.username}</td>
                <td class="end">{amount(account.spark)} spark</td>
                <td title={when(account.createTime)}>{ago(account.createTime)}</td>
                <td>
                  {account.bannedReason === undefined ? (
                    <span class="muted">open</span>
                  ) : (
                    <span class="bad-text">banned{account.bannedReason && `: ${account.bannedReason}`}</span>
                  )}
                </td>
                <td class="end">
                  <Menu label={`What to do with ${account.username}`} actions={actionsFor(account)} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {granting && (
        <Ask
          title={`Grant spark to ${granting.username}`}
          label="Amount"
          type="number"
          button="Grant"
          close={() => setGranting(null)}
          run={(value) => rest('POST', '/v1/admin/grants', { username: granting.username, amount: value })}
        />
      )}
      {banning && (
        <Ask
          title={`Ban ${banning.username}`}
          label="Why"
          hint="The account is told. What it has queued goes on unless you cancel it."
          button="Ban"
          close={() => setBanning(null)}
          run={(value) => rest('POST', '/v1/admin/bans', { kind: 'account', target: banning.username, reason: value })}
        />
      )}
    </section>
  );
}

interface AskProps {
  title: string;
  label: string;
  hint?: string;
  type?: 'text' | 'number';
  button: string;
  close: () => void;
  run: (value: string) => Promise<unknown>;
}

function Ask({ title, label, hint, type = 'text', button, close, run }: AskProps) {
  const [value, setValue] = useState('');
  return (
    <Dialog title={title} onClose={close}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void tried(async () => {
            await run(value);
            close();
            toast('Done.');
            await look();
          });
        }}
      >
        <TextField label={label} hint={hint} type={type} value={value} onValue={setValue} required={type === 'number'} />
        <button class="button primary">{button}</button>
      </form>
    </Dialog>
  );
}

function Trail() {
  return (
    <section class="block" aria-labelledby="trail-title">
      <h2 id="trail-title">What administrators did</h2>
      {actions.value.length === 0 && <p class="small muted">Nothing yet.</p>}
      <ul class="trail small">
        {actions.value.map((one) => (
          <li key={one.id}>
            <time class="muted" title={when(one.time)}>
              {ago(one.time)}
            </time>
            <span>
              {one.actor}: {one.action} {one.target} {one.detail}
              {one.reason && <span class="muted"> ({one.reason})</span>}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
