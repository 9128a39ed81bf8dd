// What administrators did: who, when, what, to whom, and why.

import { useState } from 'preact/hooks';
import { ago, when } from '../ui/format';
import { SearchField } from '../ui/fields';
import { Table } from '../ui/table';
import { More } from './more';
import { actions, pages } from './state';

export function Trail() {
  const [words, setWords] = useState('');
  const wanted = words.toLowerCase().split(/\s+/);
  const found = actions.value.filter((one) => {
    const text = `${one.actor} ${one.action} ${one.target} ${one.detail ?? ''} ${one.reason ?? ''}`.toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
  return (
    <section aria-labelledby="trail-title">
      <h2 id="trail-title" class="sr">
        What administrators did
      </h2>
      <div class="filters">
        <SearchField label="Search the trail" placeholder="Who, what, whom or why" value={words} onValue={setWords} />
      </div>
      {found.length === 0 && <p class="small muted">Nothing yet.</p>}
      {found.length > 0 && (
        <Table label="What administrators did" columns={['When', 'Who', 'What', 'To whom', 'Why']}>
          {found.map((one) => (
            <tr key={one.id}>
              <td title={when(one.time)}>{ago(one.time)}</td>
              <td>{one.actor}</td>
              <td>
                {one.action} {one.detail && <span class="muted">{one.detail}</span>}
              </td>
              <td>{one.target}</td>
              <td class="muted">{one.reason || '–'}</td>
            </tr>
          ))}
        </Table>
      )}
      {actions.value.length >= pages.value.trail && (
        <More of="trail">Show older ones</More>
      )}
    </section>
  );
}
