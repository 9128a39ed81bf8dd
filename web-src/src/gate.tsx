// The page of those who are not signed in.

import { useEffect, useState } from 'preact/hooks';
import { asStranger, saying } from './api/http';
import { enter, linkProblem } from './state/session';
import { Segments, TextField, Toggle } from './ui/fields';
import { Icon } from './ui/icon';

type Mode = 'in' | 'up';

/** How people come in here; asked of the server, because not every grid has passwords. */
interface WaysIn {
  password: boolean;
  signUp: boolean;
  reason: string;
}
const MIN_PASSWORD = 8;

export function Gate() {
  const [mode, setMode] = useState<Mode>('in');
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const [email, setEmail] = useState('');
  const [remember, setRemember] = useState(true);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const [ways, setWays] = useState<WaysIn | null>(null);
  useEffect(() => {
    asStranger<WaysIn>('/v1/account/sign-in').then(setWays, (error: unknown) => setProblem(saying(error)));
  }, []);

  async function submit(event: SubmitEvent) {
    event.preventDefault();
    if (mode === 'up' && password.length < MIN_PASSWORD) {
      setProblem(`A password has at least ${MIN_PASSWORD} characters: nothing else guards the account.`);
      return;
    }
    setBusy(true);
    setProblem('');
    try {
      const wallet = await import('./api/wallet');
      if (mode === 'in') await wallet.signIn(username.trim(), password, remember);
      else await wallet.signUp(username.trim(), password, email.trim());
      await enter();
    } catch (error) {
      setProblem(saying(error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <main class="gate">
      <div class="gate-art">
        <Art />
        <h1>Dream on your own grid.</h1>
        <p>Pictures, videos, music and speech, made by machines that you choose.</p>
      </div>
      <div class="gate-form">
        <div>
          <div class="row">
            <img src="/studio/mark.svg" alt="" width={32} height={32} />
            <strong>dreamgrid</strong>
          </div>
          {linkProblem.value && (
            <p class="notice bad" role="alert">
              <Icon name="warn" /> <span>{linkProblem.value}</span>
            </p>
          )}
          {ways?.signUp && (
            <Segments
              name="Sign in or sign up"
              value={mode}
              options={[
                ['in', 'Sign in'],
                ['up', 'New account']
              ]}
              onValue={setMode}
            />
          )}
          {ways?.password && (
            <form onSubmit={(event) => void submit(event)}>
              <TextField label="Name" value={username} onValue={setUsername} autocomplete="username" required />
              {mode === 'up' && (
                <TextField label="Email" type="email" value={email} onValue={setEmail} autocomplete="email" required />
              )}
              <TextField
                label="Password"
                type="password"
                value={password}
                onValue={setPassword}
                autocomplete={mode === 'in' ? 'current-password' : 'new-password'}
                hint={mode === 'up' ? 'It never leaves this page, and nobody can restore it.' : undefined}
                required
              />
              {mode === 'in' && <Toggle label="Stay signed in" checked={remember} onValue={setRemember} />}
              {problem && (
                <p class="notice bad" role="alert">
                  <Icon name="warn" /> <span>{problem}</span>
                </p>
              )}
              <button class="button primary large" disabled={busy}>
                {busy ? 'One moment …' : mode === 'in' ? 'Sign in' : 'Create account'}
              </button>
            </form>
          )}
          {ways && !ways.password && (
            <p class="notice">
              <Icon name="info" />
              <span>
                This server has no sign-in by name and password: whoever runs it can install the extra <code>wallet</code>.
                Programs use API keys.
              </span>
            </p>
          )}
          {ways?.password && !ways.signUp && (
            <p class="small muted">
              New accounts cannot be made from here: {ways.reason}.
            </p>
          )}
          {!ways && problem && (
            <p class="notice bad" role="alert">
              <Icon name="warn" /> <span>{problem}</span>
            </p>
          )}
          <p class="small muted">
            Did you start this grid? On its machine, <code>dreamgrid studio</code> opens this page signed in.
          </p>
        </div>
      </div>
    </main>
  );
}

const TILES = Array.from({ length: 64 }, (_, index) => ({ n: (index * 7) % 23, peak: ((index * 13) % 11) / 22 }));

function Art() {
  return (
    <div class="gate-grid" aria-hidden="true">
      {TILES.map((tile, index) => (
        <i key={index} style={{ '--n': tile.n, '--peak': tile.peak }} />
      ))}
    </div>
  );
}
