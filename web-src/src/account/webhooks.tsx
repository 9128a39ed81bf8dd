// Webhooks: which servers of the account's own are told what happens, and what became of each message.

import { useEffect, useState } from 'preact/hooks';
import { path, query, rest } from '../api/http';
import { toast, tried } from '../state/toasts';
import { ask } from '../ui/asking';
import { copy } from '../ui/clipboard';
import { Dialog } from '../ui/dialog';
import { TextField } from '../ui/fields';
import { ago, when } from '../ui/format';
import { Icon } from '../ui/icon';
import { Menu, type Action } from '../ui/menu';
import { Table } from '../ui/table';

interface Webhook {
  id: string;
  url: string;
  events: string[];
  description?: string;
  createTime: number;
  disabled?: boolean;
  disabledReason?: string;
  lastSuccessTime?: number;
  secret?: string;
}

interface Delivery {
  id: string;
  type: string;
  projectId: string;
  state: 'pending' | 'delivered' | 'failed';
  attempts: number;
  createTime: number;
  nextTime?: number;
  lastTime?: number;
  status?: number;
  error?: string;
}

const EVENTS: [type: string, label: string][] = [
  ['queued', 'A project is queued'],
  ['assigned', 'A worker has a job'],
  ['started', 'A job is rendered'],
  ['retried', 'A job is tried again'],
  ['job_completed', 'A job is delivered'],
  ['job_failed', 'A job has failed'],
  ['completed', 'A project is complete'],
  ['failed', 'A project has failed'],
  ['canceled', 'A project is canceled']
];
const PAGE = 20;

export function Webhooks() {
  const [webhooks, setWebhooks] = useState<Webhook[] | null>(null);
  const [making, setMaking] = useState(false);
  const [watched, setWatched] = useState<Webhook | null>(null);
  const load = () =>
    tried(async () => setWebhooks((await rest<{ webhooks: Webhook[] }>('GET', '/v1/webhooks')).webhooks));
  useEffect(() => void load(), []);

  async function remove(webhook: Webhook) {
    const sure = await ask({
      title: 'Remove this webhook?',
      text: `Nothing more is sent to ${webhook.url}, also not what waits to be sent again.`,
      button: 'Remove',
      danger: true
    });
    if (sure === null) return;
    await tried(async () => {
      await rest('DELETE', path`/v1/webhooks/${webhook.id}`);
      toast('The webhook is removed.');
    });
    await load();
  }

  async function enable(webhook: Webhook) {
    await tried(async () => {
      await rest('POST', path`/v1/webhooks/${webhook.id}/enable`, {});
      toast('It is in use again; what it had not accepted is sent now.');
    });
    await load();
  }

  const actionsFor = (webhook: Webhook): Action[] => [
    { label: 'Messages', icon: 'info', run: () => setWatched(webhook) },
    ...(webhook.disabled ? [{ label: 'Use again', icon: 'again' as const, run: () => enable(webhook) }] : []),
    { label: 'Remove', icon: 'trash', danger: true, run: () => remove(webhook) }
  ];

  return (
    <section class="block" aria-labelledby="webhooks-title">
      <div class="spread">
        <h2 id="webhooks-title">Webhooks</h2>
        <button type="button" class="button" onClick={() => setMaking(true)}>
          <Icon name="plus" /> New webhook
        </button>
      </div>
      {webhooks?.length === 0 && (
        <p class="small muted">A server of your own can be told by HTTP when something is made.</p>
      )}
      {webhooks !== null && webhooks.length > 0 && (
        <Table label="Webhooks" columns={['To', 'Told of', 'State']} actions>
          {webhooks.map((webhook) => (
            <tr key={webhook.id}>
              <td class="where">
                {webhook.url}
                {webhook.description && <span class="tiny muted"> {webhook.description}</span>}
              </td>
              <td>{webhook.events.join(', ') || 'everything'}</td>
              <td>
                <Standing webhook={webhook} />
              </td>
              <td class="end">
                <Menu label={`What to do with ${webhook.url}`} actions={actionsFor(webhook)} />
              </td>
            </tr>
          ))}
        </Table>
      )}
      {making && (
        <NewWebhook
          close={() => {
            setMaking(false);
            void load();
          }}
        />
      )}
      {watched && <Deliveries webhook={watched} close={() => setWatched(null)} />}
    </section>
  );
}

function Standing({ webhook }: { webhook: Webhook }) {
  if (webhook.disabled) return <span class="bad-text">given up{webhook.disabledReason && `: ${webhook.disabledReason}`}</span>;
  return (
    <span class="muted">
      {webhook.lastSuccessTime === undefined ? 'nothing accepted yet' : `accepted ${ago(webhook.lastSuccessTime)}`}
    </span>
  );
}

function NewWebhook({ close }: { close: () => void }) {
  const [url, setUrl] = useState('');
  const [description, setDescription] = useState('');
  const [events, setEvents] = useState<readonly string[]>(['completed', 'failed']);
  const [made, setMade] = useState<Webhook | null>(null);

  async function make(event: SubmitEvent) {
    event.preventDefault();
    const all = events.length === EVENTS.length;
    const wish = { url, description, events: all ? [] : events };
    const webhook = await tried(() => rest<Webhook>('POST', '/v1/webhooks', wish));
    if (webhook) setMade(webhook);
  }

  return (
    <Dialog title={made ? 'Your new webhook' : 'New webhook'} onClose={close}>
      {made ? (
        <div class="stack">
          <p class="small">
            Its messages are signed with this secret. Copy it now: it is never shown again. With it your server knows
            that a message is from this grid.
          </p>
          <code class="secret">{made.secret}</code>
          <button type="button" class="button primary" onClick={() => void copy(made.secret ?? '', 'Secret')}>
            <Icon name="copy" /> Copy
          </button>
        </div>
      ) : (
        <form class="stack" onSubmit={(event) => void make(event)}>
          <TextField label="Address" type="url" placeholder="https://" value={url} onValue={setUrl} required />
          <TextField label="What it is for" value={description} onValue={setDescription} maxLength={200} />
          <fieldset class="checks">
            <legend class="label">Tell it when</legend>
            {EVENTS.map(([type, label]) => (
              <label key={type}>
                <input
                  type="checkbox"
                  checked={events.includes(type)}
                  onChange={(event) =>
                    setEvents(event.currentTarget.checked ? [...events, type] : events.filter((one) => one !== type))
                  }
                />
                {label}
              </label>
            ))}
          </fieldset>
          <button class="button primary" disabled={events.length === 0}>
            Make the webhook
          </button>
        </form>
      )}
    </Dialog>
  );
}

const DOTS = { pending: 'warn', delivered: 'good', failed: 'bad' };

/** What was, is or will be sent, the newest first. */
function Deliveries({ webhook, close }: { webhook: Webhook; close: () => void }) {
  const [found, setFound] = useState<Delivery[] | null>(null);
  const [next, setNext] = useState(0);
  const load = (offset: number) =>
    tried(async () => {
      const where = query(path`/v1/webhooks/${webhook.id}/deliveries`, { limit: PAGE, offset });
      const page = await rest<{ deliveries: Delivery[]; next: number }>('GET', where);
      setFound((before) => [...(before ?? []).slice(0, offset), ...page.deliveries]);
      setNext(page.deliveries.length === PAGE ? page.next : 0);
    });
  useEffect(() => void load(0), []);
  // What is on its way has arrived, or not, a moment later.
  const onItsWay = found !== null && found.length <= PAGE && found.some((one) => one.state === 'pending');
  useEffect(() => {
    if (!onItsWay) return undefined;
    const timer = setInterval(() => void load(0), 2_000);
    return () => clearInterval(timer);
  }, [onItsWay]);

  async function again(delivery: Delivery) {
    await tried(async () => {
      await rest('POST', path`/v1/webhooks/${webhook.id}/deliveries/${delivery.id}/redeliver`, {});
      toast('It is sent again.');
    });
    await load(0);
  }

  return (
    <Dialog title="Messages" class="sheet wide-sheet" onClose={close}>
      <p class="small muted">{webhook.url}</p>
      {found?.length === 0 && <p class="small">Nothing was sent yet.</p>}
      <ul class="plain-list" aria-label="Messages">
        {found?.map((one) => (
          <li key={one.id} class="delivery small">
            <span class={`dot ${DOTS[one.state]}`} />
            <span>
              <strong>{one.type}</strong>{' '}
              <span class="muted" title={when(one.createTime)}>
                {ago(one.createTime)} · {one.state}
                {one.attempts > 1 && ` after ${one.attempts} attempts`}
                {one.status !== undefined && ` · ${one.status}`}
              </span>
              {one.error && <span class="tiny bad-text">{one.error}</span>}
            </span>
            <button type="button" class="link tiny muted" onClick={() => void again(one)}>
              Send again<span class="sr"> {one.id}</span>
            </button>
          </li>
        ))}
      </ul>
      {next > 0 && (
        <button type="button" class="button older" onClick={() => void load(next)}>
          Show older ones
        </button>
      )}
    </Dialog>
  );
}
