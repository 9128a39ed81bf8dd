// Who is signed in: money, keys for programs, colours, and the way out.

import { useEffect, useState } from 'preact/hooks';
import { path, query, rest } from '../api/http';
import type { KeyInfo, Scope, Transaction } from '../api/types';
import { balances, me, signOut } from '../state/session';
import { isLight, toggleTheme } from '../state/theme';
import { toast, tried } from '../state/toasts';
import { ask } from '../ui/asking';
import { copy } from '../ui/clipboard';
import { Dialog } from '../ui/dialog';
import { SelectField, TextField } from '../ui/fields';
import { ago, amount, when } from '../ui/format';
import { Icon } from '../ui/icon';
import { Table } from '../ui/table';
import { Webhooks } from './webhooks';

export default function AccountPage() {
  const { spark } = balances.value ?? {};
  return (
    <div class="page narrow">
      <header class="page-head">
        <div>
          <h1>{me.value?.username}</h1>
          <p class="small muted">{me.value?.currentEmail || 'Signed in on this grid'}</p>
        </div>
        <div class="row wrap">
          <button type="button" class="button" onClick={toggleTheme}>
            <Icon name={isLight.value ? 'moon' : 'sun'} /> {isLight.value ? 'Dark colours' : 'Light colours'}
          </button>
          <button type="button" class="button" onClick={() => void signOut()}>
            <Icon name="leave" /> Sign out
          </button>
        </div>
      </header>
      <section class="stats" aria-label="Balance">
        <Stat label="To spend" value={`${amount(spark?.net)} spark`} />
        <Stat label="Held for what is in the making" value={`${amount(spark?.debit)} spark`} />
      </section>
      <Keys />
      <Webhooks />
      <Statement />
    </div>
  );
}

export function Stat({ label, value, hint }: { label: string; value: string | number; hint?: string }) {
  return (
    <div class="stat">
      <span class="small muted">{label}</span>
      <strong class="num">{value}</strong>
      {hint && <span class="tiny muted">{hint}</span>}
    </div>
  );
}

const SCOPES: [Scope, string][] = [
  ['render', 'Make things, and look'],
  ['read', 'Look only'],
  ['work', 'Run a worker'],
  ['all', 'Everything that you may do']
];

function Keys() {
  const [keys, setKeys] = useState<KeyInfo[] | null>(null);
  const [making, setMaking] = useState(false);
  const load = () =>
    tried(async () => setKeys((await rest<{ keys: KeyInfo[] }>('GET', '/v1/account/keys')).keys));
  useEffect(() => void load(), []);

  async function revoke(key: KeyInfo) {
    const sure = await ask({
      title: `Revoke ${key.name || key.prefix}?`,
      text: 'Whatever uses this key is cut off at once.',
      button: 'Revoke',
      danger: true
    });
    if (sure === null) return;
    await tried(async () => {
      await rest('DELETE', path`/v1/account/keys/${key.id}`);
      toast('The key is revoked.');
    });
    await load();
  }

  return (
    <section class="block" aria-labelledby="keys-title">
      <div class="spread">
        <h2 id="keys-title">Keys for programs</h2>
        <button type="button" class="button" onClick={() => setMaking(true)}>
          <Icon name="plus" /> New key
        </button>
      </div>
      <Table label="Keys" columns={['Name', 'Begins with', 'May', 'At most', 'Made']} actions>
        {keys?.map((key) => (
          <tr key={key.id}>
            <td>{key.name || '–'}</td>
            <td>
              <code>{key.prefix}…</code>
            </td>
            <td>{SCOPES.find(([scope]) => scope === key.scope)?.[1] ?? key.scope}</td>
            <td class="num">{key.maxPerDay ? `${amount(key.maxPerDay)} a day` : 'no cap'}</td>
            <td>{ago(key.createTime)}</td>
            <td class="end">
              <button
                type="button"
                class="icon-button"
                aria-label={`Revoke ${key.name || key.prefix}`}
                title="Revoke"
                onClick={() => void revoke(key)}
              >
                <Icon name="trash" />
              </button>
            </td>
          </tr>
        ))}
      </Table>
      {making && (
        <NewKey
          close={() => {
            setMaking(false);
            void load();
          }}
        />
      )}
    </section>
  );
}

function NewKey({ close }: { close: () => void }) {
  const [name, setName] = useState('');
  const [scope, setScope] = useState<Scope>('render');
  const [cap, setCap] = useState('');
  const [made, setMade] = useState<KeyInfo | null>(null);

  async function make(event: SubmitEvent) {
    event.preventDefault();
    const wish = { name, scope, ...(cap ? { maxPerDay: cap } : {}) };
    const key = await tried(() => rest<KeyInfo>('POST', '/v1/account/keys', wish));
    if (key) setMade(key);
  }

  return (
    <Dialog title={made ? 'Your new key' : 'New key'} onClose={close}>
      {made ? (
        <div class="stack">
          <p class="small">Copy it now: it is never shown again. Whoever has it can use your account.</p>
          <code class="secret">{made.key}</code>
          <button type="button" class="button primary" onClick={() => void copy(made.key ?? '', 'Key')}>
            <Icon name="copy" /> Copy
          </button>
        </div>
      ) : (
        <form class="stack" onSubmit={(event) => void make(event)}>
          <TextField label="Name" placeholder="What it is for" value={name} onValue={setName} maxLength={100} />
          <SelectField label="It may" value={scope} options={SCOPES} onValue={setScope} />
          {scope !== 'read' && scope !== 'work' && (
            <TextField
              label="At most a day"
              hint="In spark; empty: no cap"
              type="number"
              value={cap}
              onValue={setCap}
            />
          )}
          <button class="button primary">Make the key</button>
        </form>
      )}
    </Dialog>
  );
}

const SOURCES = { project: 'Made', grant: 'Granted', refund: 'Given back', earning: 'Earned by a worker' };
const PAGE = 20;

function Statement() {
  const [lines, setLines] = useState<Transaction[]>([]);
  const [more, setMore] = useState(true);
  const load = (offset: number) =>
    tried(async () => {
      const where = query('/v1/transactions/list', { limit: PAGE, offset });
      const page = await rest<{ transactions: Transaction[] }>('GET', where);
      setLines((old) => [...old.slice(0, offset), ...page.transactions]);
      setMore(page.transactions.length === PAGE);
    });
  // A change of the balance is a new line.
  useEffect(() => void load(0), [balances.value?.spark.settled]);
  return (
    <section class="block" aria-labelledby="statement-title">
      <h2 id="statement-title">Statement</h2>
      <Table label="Statement" columns={['When', 'What', { number: 'Amount' }]}>
        {lines.map((line) => (
          <tr key={line.id}>
            <td title={when(line.createTime)}>{ago(line.createTime)}</td>
            <td>
              {SOURCES[line.source] ?? line.source}{' '}
              {line.source === 'project' && (
                <button
                  type="button"
                  class="link tiny muted"
                  onClick={() => void copy(line.sourceSID, 'Project id')}
                >
                  {line.sourceSID.slice(0, 8)}
                </button>
              )}
            </td>
            <td class={line.type === 'credit' ? 'end good' : 'end'}>
              {line.type === 'credit' ? '+' : '−'}
              {amount(line.amount)} {line.tokenType}
            </td>
          </tr>
        ))}
      </Table>
      {more && lines.length >= PAGE && (
        <button type="button" class="button older" onClick={() => void load(lines.length)}>
          Show older ones
        </button>
      )}
      {lines.length === 0 && <p class="small muted">Nothing was paid or received yet.</p>}
    </section>
  );
}

