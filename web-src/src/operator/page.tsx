// The grid for whoever runs it: a page for each subject, and what may be done there.

import { useEffect } from 'preact/hooks';
import { route } from '../state/route';
import { Models } from '../network/models';
import { Icon } from '../ui/icon';
import { Accounts } from './accounts';
import { Health } from './health';
import { Overview } from './overview';
import { Queue } from './queue';
import { look, problem, type Tab } from './state';
import { Trail } from './trail';
import { Workers } from './workers';

const EVERY_MS = 3_000;
const TABS: [name: Tab, label: string][] = [
  ['overview', 'Overview'],
  ['workers', 'Workers'],
  ['queue', 'Queue'],
  ['models', 'Models'],
  ['accounts', 'Accounts'],
  ['trail', 'Trail'],
  ['health', 'Health']
];
const PAGES = { overview: Overview, workers: Workers, queue: Queue, models: Models, accounts: Accounts, trail: Trail, health: Health };

/** On a phone not all of them fit. */
const intoView = (link: HTMLAnchorElement | null) => link?.scrollIntoView({ block: 'nearest', inline: 'center' });

export default function OperatorPage() {
  const tab = TABS.find(([name]) => name === route.value[1])?.[0] ?? 'overview';
  useEffect(() => {
    void look(tab);
    const timer = setInterval(() => !document.hidden && void look(tab), EVERY_MS);
    return () => clearInterval(timer);
  }, [tab]);
  const Page = PAGES[tab];
  return (
    <div class="page">
      <header class="page-head">
        <h1>Grid</h1>
        <nav class="tabs" aria-label="Grid">
          {TABS.map(([name, label]) => (
            <a
              key={name}
              ref={name === tab ? intoView : null}
              href={`#/operator/${name}`}
              aria-current={name === tab ? 'page' : undefined}
            >
              {label}
            </a>
          ))}
        </nav>
      </header>
      {problem.value && (
        <p class="notice bad" role="alert">
          <Icon name="warn" /> <span>{problem.value}</span>
        </p>
      )}
      <Page />
    </div>
  );
}
