// How the server is, and whether its books add up.

import { useState } from 'preact/hooks';
import { rest } from '../api/http';
import { tried } from '../state/toasts';
import { ago, bytes, duration, plural, when } from '../ui/format';
import { Icon } from '../ui/icon';
import { audit, health, workers, type Audit } from './state';

export function Health() {
  return (
    <>
      <Server />
      <Books />
    </>
  );
}

function Server() {
  const told = health.value;
  const resting = (workers.value ?? []).filter((one) => one.state === 'resting').length;
  const facts: [label: string, value: string][] = told
    ? [
        ['Version', told.version],
        ['Up', `for ${duration((Date.now() - told.since) / 1000)}`],
        ['Workers', `${told.workers}${resting > 0 ? `, ${resting} of them resting after failures` : ''}`],
        ['Open projects', `${told.projects}, ${plural(told.waiting, 'job')} waiting`],
        ['Media', `${plural(told.media.files, 'file')}, ${bytes(told.media.sizeBytes)}`],
        ['Free for media', told.media.freeBytes === undefined ? 'unknown' : bytes(told.media.freeBytes)]
      ]
    : [];
  const full = told?.media.freeBytes !== undefined && told.media.freeBytes < LITTLE_BYTES;
  return (
    <section class="block" aria-labelledby="server-title">
      <h2 id="server-title">The server</h2>
      {full && (
        <p class="notice bad" role="alert">
          <Icon name="warn" />
          <span>The disk for media is nearly full. Without room nothing can be delivered: make room, or keep files for less long.</span>
        </p>
      )}
      <dl class="facts-wide">
        {facts.map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd class="num">{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

const LITTLE_BYTES = 1024 ** 3;

function Books() {
  const [busy, setBusy] = useState(false);
  const told = audit.value;
  async function prove() {
    setBusy(true);
    await tried(async () => {
      audit.value = await rest<Audit>('GET', '/v1/admin/audit');
    });
    setBusy(false);
  }
  return (
    <section class="block" aria-labelledby="books-title">
      <div class="spread wrap">
        <h2 id="books-title">The books</h2>
        <button type="button" class="button" disabled={busy} onClick={() => void prove()}>
          {busy ? 'Adding up …' : told ? 'Prove them again' : 'Prove them'}
        </button>
      </div>
      <p class="small muted">
        All entries add up to zero, nothing is charged twice, and every balance is what its entries say. It only looks, beside
        whatever goes on.
      </p>
      <div role="status">{told && <Verdict told={told} />}</div>
    </section>
  );
}

function Verdict({ told }: { told: Audit }) {
  const counted = Object.entries(told.counted).map(([name, count]) => plural(count, name.replaceAll('_', ' ')));
  return (
    <>
      <p class={told.clean ? 'notice' : 'notice bad'}>
        <Icon name={told.clean ? 'check' : 'warn'} />
        <span>
          <strong>{told.clean ? 'The books add up.' : `${plural(told.findings.length, 'finding')}: something in them cannot be.`}</strong>{' '}
          <span title={when(told.time)}>{ago(told.time)}</span>, {counted.join(', ')} in {told.tookS.toFixed(2)} s.
        </span>
      </p>
      {told.findings.length > 0 && (
        <ul class="plain-list">
          {told.findings.map((one) => (
            <li key={one.check + one.rows.join()} class="small">
              <strong>{one.check}</strong> <code class="tiny">{one.rows.join(', ')}</code>
              <br />
              {one.message}
              <br />
              <span class="muted">{one.advice}</span>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
