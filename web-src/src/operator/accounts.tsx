// Accounts: their money, their limits, who is banned, and which apps are blocked.

import { useState } from 'preact/hooks';
import { path, rest } from '../api/http';
import { toast, tried } from '../state/toasts';
import { Dialog } from '../ui/dialog';
import { SearchField, SelectField, Slider, TextField } from '../ui/fields';
import { ago, amount, when } from '../ui/format';
import { Icon } from '../ui/icon';
import { Menu, type Action } from '../ui/menu';
import { Table } from '../ui/table';
import { More } from './more';
import { accounts, act, bans, look, pages, search, type Account } from './state';

type Doing = { what: 'grant' | 'limits'; account: Account } | { what: 'refund' } | null;

const why = { label: 'Why', hint: 'It stands in the trail.' };

function actionsFor(account: Account, begin: (doing: Doing) => void): Action[] {
  const { username } = account;
  const ban = () =>
    act(
      {
        title: `Ban ${username}?`,
        text: 'Its keys, apps and workers are cut off at once, and it is told why. What it has queued goes on unless you cancel it.',
        button: 'Ban',
        danger: true
      },
      `${username} is banned.`,
      (reason) => rest('POST', '/v1/admin/bans', { kind: 'account', target: username, reason })
    );
  const lift = () =>
    act({ title: `Lift the ban of ${username}?`, button: 'Lift the ban' }, `${username} may come back.`, (reason) =>
      rest('POST', '/v1/admin/bans', { kind: 'account', target: username, lift: true, reason })
    );
  return [
    { label: 'Grant', icon: 'plus', run: () => begin({ what: 'grant', account }) },
    { label: 'Limits', icon: 'sliders', run: () => begin({ what: 'limits', account }) },
    account.bannedReason === undefined
      ? { label: 'Ban', icon: 'lock', danger: true, run: ban }
      : { label: 'Lift the ban', icon: 'check', run: lift }
  ];
}

export function Accounts() {
  const [doing, setDoing] = useState<Doing>(null);
  const close = () => setDoing(null);
  const block = () =>
    act(
      {
        title: 'Block an app?',
        text: 'No app with this id connects any more, of whatever account; one that is here is cut off.',
        button: 'Block',
        danger: true,
        field: { label: 'App id', required: true }
      },
      'The app is blocked.',
      (target) => rest('POST', '/v1/admin/bans', { kind: 'app', target })
    );
  return (
    <section aria-labelledby="accounts-title">
      <h2 id="accounts-title" class="sr">
        Accounts
      </h2>
      <div class="filters">
        <SearchField
          label="Search accounts"
          placeholder="Name"
          value={search.value}
          onValue={(words) => {
            search.value = words;
            void look();
          }}
        />
        <button type="button" class="button" onClick={() => setDoing({ what: 'refund' })}>
          <Icon name="undo" /> Refund
        </button>
        <button type="button" class="button" onClick={() => void block()}>
          <Icon name="lock" /> Block an app
        </button>
      </div>
      <Table label="Accounts" columns={['Name', { number: 'To spend' }, 'Limits', 'Since', 'State']} actions>
        {accounts.value.map((account) => (
          <tr key={account.username}>
            <td>{account.username}</td>
            <td class="end">{amount(account.spark)} spark</td>
            <td>{limitsInWords(account)}</td>
            <td title={when(account.createTime)}>{ago(account.createTime)}</td>
            <td>
              {account.bannedReason === undefined ? (
                <span class="muted">open</span>
              ) : (
                <span class="bad-text">banned{account.bannedReason && `: ${account.bannedReason}`}</span>
              )}
            </td>
            <td class="end">
              <Menu label={`What to do with ${account.username}`} actions={actionsFor(account, setDoing)} />
            </td>
          </tr>
        ))}
      </Table>
      {accounts.value.length >= pages.value.accounts && (
        <More of="accounts">Show more</More>
      )}
      <Blocked />
      {doing?.what === 'grant' && <Granting account={doing.account} close={close} />}
      {doing?.what === 'limits' && <Limiting account={doing.account} close={close} />}
      {doing?.what === 'refund' && <Refunding close={close} />}
    </section>
  );
}

function limitsInWords({ limits }: Account): string {
  const { maxRunningJobs, maxQueuedProjects, priority } = limits;
  const parts = [
    maxRunningJobs !== undefined && `${maxRunningJobs} running`,
    maxQueuedProjects !== undefined && `${maxQueuedProjects} queued`,
    priority && `${priority > 0 ? '+' : ''}${priority} min`
  ].filter(Boolean);
  return parts.join(', ') || '–';
}

function Blocked() {
  const blocked = bans.value.filter((one) => one.kind === 'app');
  if (blocked.length === 0) return null;
  return (
    <section class="block" aria-labelledby="blocked-title">
      <h2 id="blocked-title">Blocked apps</h2>
      <ul class="plain-list">
        {blocked.map((one) => (
          <li key={one.target} class="spread small">
            <span>
              <code>{one.target}</code> <span class="muted">· {ago(one.time)}</span>
            </span>
            <button
              type="button"
              class="button"
              onClick={() =>
                void act({ title: `Unblock ${one.target}?`, button: 'Unblock' }, 'The app may connect again.', (reason) =>
                  rest('POST', '/v1/admin/bans', { kind: 'app', target: one.target, lift: true, reason })
                )
              }
            >
              Unblock
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** A form in a window: sends, says what happened, looks again and closes. */
function useSending(close: () => void): (event: SubmitEvent, work: () => Promise<string>) => void {
  return (event, work) => {
    event.preventDefault();
    void tried(async () => {
      toast(await work());
      close();
    }).then(() => look());
  };
}

function Granting({ account, close }: { account: Account; close: () => void }) {
  const [value, setValue] = useState('');
  const [token, setToken] = useState<'spark' | 'sogni'>('spark');
  const [reason, setReason] = useState('');
  const send = useSending(close);
  return (
    <Dialog title={`Grant to ${account.username}`} onClose={close}>
      <form
        class="stack"
        onSubmit={(event) =>
          send(event, async () => {
            const wish = { username: account.username, amount: value, tokenType: token, reason };
            await rest('POST', '/v1/admin/grants', wish);
            return `${account.username} has ${amount(value)} ${token} more.`;
          })
        }
      >
        <TextField label="Amount" type="number" value={value} onValue={setValue} required />
        <SelectField
          label="Currency"
          value={token}
          options={[
            ['spark', 'spark'],
            ['sogni', 'sogni']
          ]}
          onValue={setToken}
        />
        <TextField {...why} value={reason} onValue={setReason} />
        <button class="button primary">Grant</button>
      </form>
    </Dialog>
  );
}

function Limiting({ account, close }: { account: Account; close: () => void }) {
  const { limits } = account;
  const [running, setRunning] = useState(String(limits.maxRunningJobs ?? ''));
  const [queuedMost, setQueued] = useState(String(limits.maxQueuedProjects ?? ''));
  const [priority, setPriority] = useState(limits.priority ?? 0);
  const [reason, setReason] = useState('');
  const send = useSending(close);
  const number = (text: string) => (text === '' ? undefined : Number(text));
  return (
    <Dialog title={`Limits of ${account.username}`} onClose={close}>
      <form
        class="stack"
        onSubmit={(event) =>
          send(event, async () => {
            await rest('PUT', path`/v1/admin/accounts/${account.username}/limits`, {
              maxRunningJobs: number(running),
              maxQueuedProjects: number(queuedMost),
              priority,
              reason
            });
            return `${account.username} has new limits.`;
          })
        }
      >
        <TextField
          label="Jobs on workers at once"
          hint="Empty: as the server's settings say. 0: it is not rendered for."
          type="number"
          value={running}
          onValue={setRunning}
        />
        <TextField
          label="Unfinished projects"
          hint="Empty: as the server's settings say. 0: it cannot send any."
          type="number"
          value={queuedMost}
          onValue={setQueued}
        />
        <Slider
          label="Head start in minutes"
          hint="Its jobs count as waiting that much longer; less than 0: shorter."
          min={-60}
          max={60}
          step={1}
          value={priority}
          onValue={setPriority}
        />
        <TextField {...why} value={reason} onValue={setReason} />
        <button class="button primary">Set the limits</button>
      </form>
    </Dialog>
  );
}

function Refunding({ close }: { close: () => void }) {
  const [projectId, setProject] = useState('');
  const [jobId, setJob] = useState('');
  const [reason, setReason] = useState('');
  const [done, setDone] = useState('');

  async function give(event: SubmitEvent) {
    event.preventDefault();
    await tried(async () => {
      const wish = { projectId: projectId.trim(), jobId: jobId.trim() || null, reason };
      const given = await rest<{ jobs: number; amount: string; tokenType: string }>('POST', '/v1/admin/refunds', wish);
      setDone(
        given.jobs === 0
          ? 'Nothing was charged for it, or it was given back before.'
          : `${amount(given.amount)} ${given.tokenType} are given back.`
      );
    });
    await look();
  }

  if (done) {
    return (
      <Dialog title="Refund" onClose={close}>
        <p role="status">{done}</p>
        <button type="button" class="button" onClick={close}>
          Good
        </button>
      </Dialog>
    );
  }
  return (
    <Dialog title="Refund" onClose={close}>
      <form class="stack" onSubmit={(event) => void give(event)}>
        <p class="small muted">What was charged is given back to whoever paid it, once. That cannot be undone.</p>
        <TextField label="Project id" value={projectId} onValue={setProject} required />
        <TextField label="Job id" hint="Empty: all jobs of the project" value={jobId} onValue={setJob} />
        <TextField {...why} value={reason} onValue={setReason} />
        <button class="button primary">Give it back</button>
      </form>
    </Dialog>
  );
}
