// The frame around every page: where to go, who is here, and what just happened.

import { useEffect } from 'preact/hooks';
import { CreatePage } from './create/page';
import { Gate } from './gate';
import { compared } from './gallery/compared';
import { openViewer, Viewer } from './gallery/viewer';
import { openCount } from './state/projects';
import { page } from './state/route';
import { connected, me, phase, signOut } from './state/session';
import { isLight, toggleTheme } from './state/theme';
import { dismiss, toasts } from './state/toasts';
import { Asking } from './ui/asking';
import { Icon, type IconName } from './ui/icon';
import { Compare, Lazy } from './ui/lazy';

const PAGES: [name: string, label: string, icon: IconName][] = [
  ['create', 'Create', 'create'],
  ['gallery', 'Gallery', 'gallery'],
  ['operator', 'Grid', 'network'],
  ['models', 'Network', 'network'],
  ['account', 'Account', 'account']
];

export function App() {
  return (
    <>
      {phase.value === 'guest' && <Gate />}
      {phase.value === 'starting' && <Splash text="" />}
      {phase.value === 'unreachable' && <Splash text="The grid does not answer. Trying again …" />}
      {phase.value === 'ready' && <Shell />}
      <Asking />
      <Toasts />
    </>
  );
}

function Splash({ text }: { text: string }) {
  return (
    <main class="empty">
      <img class="mark" src="/studio/mark.svg" alt="" />
      <p role="status">{text}</p>
    </main>
  );
}

function Shell() {
  const current = page.value;
  // Administrators see everybody's grid, others their own part of it.
  const hidden = me.value?.administrator ? 'models' : 'operator';
  const pages = PAGES.filter(([name]) => name !== hidden);
  const entry = pages.find(([name]) => name === current) ?? pages[0]!;
  useEffect(() => {
    document.title = `${entry[1]} · dreamgrid`;
  }, [entry]);
  return (
    <div class="shell">
      <nav class="rail" aria-label="Studio">
        <img class="mark" src="/studio/mark.svg" alt="dreamgrid" />
        {pages.map(([name, label, icon]) => (
          <a key={name} class="rail-link" href={`#/${name}`} aria-current={name === entry[0] ? 'page' : undefined}>
            <Icon name={icon} />
            {label}
            {name === 'create' && openCount.value > 0 && (
              <span class="badge num" aria-label={`${openCount.value} in the making`}>
                {openCount.value}
              </span>
            )}
          </a>
        ))}
        <span class="gap" />
        <button
          type="button"
          class="icon-button only-wide"
          aria-label={isLight.value ? 'Dark colours' : 'Light colours'}
          title={isLight.value ? 'Dark colours' : 'Light colours'}
          onClick={toggleTheme}
        >
          <Icon name={isLight.value ? 'moon' : 'sun'} />
        </button>
        <button
          type="button"
          class="icon-button only-wide"
          aria-label={`Sign out ${me.value?.username ?? ''}`}
          title={`Sign out ${me.value?.username ?? ''}`}
          onClick={() => void signOut()}
        >
          <Icon name="leave" />
        </button>
      </nav>
      <main id="main">
        {entry[0] === 'create' && <CreatePage />}
        {entry[0] !== 'create' && <Lazy name={entry[0]} />}
      </main>
      {openViewer.value && <Viewer />}
      {compared.value && <Compare />}
      {!connected.value && (
        <p class="notice offline" role="status">
          <span class="dot warn" /> Connecting to the grid …
        </p>
      )}
    </div>
  );
}

function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <div key={toast.id} class={`toast ${toast.kind}`}>
          <Icon name={toast.kind === 'error' ? 'warn' : 'check'} />
          <span>{toast.text}</span>
          <button type="button" class="icon-button" aria-label="Dismiss" onClick={() => dismiss(toast.id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
