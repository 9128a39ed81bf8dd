// What can be made here: every model, who serves it right now, and what it takes.

import { useState } from 'preact/hooks';
import type { Model } from '../api/types';
import { slotsOf } from '../create/inputs';
import { choose } from '../create/draft';
import { models, workers, workersOf } from '../state/catalog';
import { go } from '../state/route';
import { plural } from '../ui/format';
import { SearchField, Toggle } from '../ui/fields';
import { Table } from '../ui/table';

const KINDS = { image: 'Image', video: 'Video', audio: 'Audio' };

export function Models() {
  const [words, setWords] = useState('');
  const [served, setServed] = useState(false);
  const wanted = words.toLowerCase().split(/\s+/);
  const found = models.value
    .filter((entry) => !served || workersOf(entry.id) > 0)
    .filter((entry) => wanted.every((word) => `${entry.name} ${entry.id} ${entry.media}`.toLowerCase().includes(word)))
    .sort((a, b) => workersOf(b.id) - workersOf(a.id));
  const able = Object.values(workers.value).filter((count) => count > 0).length;
  return (
    <section aria-labelledby="all-models-title">
      <h2 id="all-models-title" class="sr">
        Models
      </h2>
      <div class="filters">
        <SearchField label="Search models" placeholder="Name or kind" value={words} onValue={setWords} />
        <Toggle label="Only what a worker offers now" checked={served} onValue={setServed} />
      </div>
      <p class="small muted" role="status">
        {plural(able, 'model')} of {models.value.length} {able === 1 ? 'has' : 'have'} a worker now.
      </p>
      <Table label="Models" columns={['Model', 'Makes', 'Workers', 'Takes']} actions class="models">
        {found.map((entry) => (
          <tr key={entry.id}>
            <td>
              {entry.name}
              <br />
              <code class="tiny muted">{entry.id}</code>
            </td>
            <td>{KINDS[entry.media]}</td>
            <td class="num">
              <span class="served">
                <span class={`dot ${workersOf(entry.id) > 0 ? 'good' : ''}`} /> {workersOf(entry.id)}
              </span>
            </td>
            <td class="why">{takes(entry)}</td>
            <td class="end">
              <button
                type="button"
                class="button plain"
                onClick={() => {
                  choose(entry);
                  go('create');
                }}
              >
                Use<span class="sr"> {entry.name}</span>
              </button>
            </td>
          </tr>
        ))}
      </Table>
      {found.length === 0 && <p class="small muted">No model is called that.</p>}
    </section>
  );
}

/** The files that it takes, several of a kind in one word. */
function takes(entry: Model): string {
  const labels = slotsOf(entry).map((slot) => slot.label.replace(/ \d+$/, ''));
  return ['Words', ...new Set(labels)].join(', ').toLowerCase();
}
