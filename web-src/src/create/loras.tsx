// What bends the chosen model, and how strongly: from the grid's catalogue.

import type { Lora } from '../api/types';
import { loraById, mostLoras } from '../state/catalog';
import { Slider } from '../ui/fields';
import { Icon } from '../ui/icon';
import { draft, edit, loras, offeredLoras } from './draft';

export function Loras() {
  const free = offeredLoras.value.filter((one) => !loras.value.some((chosen) => chosen.id === one.loraId));
  const full = loras.value.length >= mostLoras.value;
  const change = (next: { id: string; strength: number }[]) => edit({ loras: next });
  const others = () => draft.value.loras.filter((one) => !loras.value.includes(one));
  const groups = [...new Set(free.map((one) => one.ui.category))];
  return (
    <div class="field">
      <label for="lora">LoRAs</label>
      {free.length > 0 && !full && (
        <select
          id="lora"
          class="select"
          value=""
          onChange={(event) => {
            const found = loraById.value.get(event.currentTarget.value);
            event.currentTarget.value = '';
            if (found) change([...others(), ...loras.value, { id: found.loraId, strength: found.ui.default }]);
          }}
        >
          <option value="">{loras.value.length > 0 ? 'Add another …' : 'Add one …'}</option>
          {groups.map((group) => (
            <optgroup key={group} label={titled(group)}>
              {free
                .filter((one) => one.ui.category === group)
                .map((one) => (
                  <option key={one.loraId} value={one.loraId}>
                    {one.name}
                    {(one.ui.nsfw || one.ui.sexual) && ' (adult)'}
                  </option>
                ))}
            </optgroup>
          ))}
        </select>
      )}
      {loras.value.map((chosen) => {
        const known = loraById.value.get(chosen.id)!;
        return (
          <div key={chosen.id} class="lora">
            <Slider
              label={known.name}
              hint={hintOf(known)}
              min={known.ui.min}
              max={known.ui.max}
              step={known.ui.step}
              value={chosen.strength}
              onValue={(strength) => change(draft.value.loras.map((one) => (one.id === chosen.id ? { ...one, strength } : one)))}
            />
            <button
              type="button"
              class="icon-button"
              aria-label={`Remove: ${known.name}`}
              title="Remove"
              onClick={() => {
                change(draft.value.loras.filter((one) => one.id !== chosen.id));
                document.getElementById('lora')?.focus();
              }}
            >
              <Icon name="close" />
            </button>
          </div>
        );
      })}
      {full && <span class="hint">No more than {mostLoras.value} at once.</span>}
    </div>
  );
}

function hintOf({ description, ui }: Lora): string {
  const { recommendedMin: low, recommendedMax: high } = ui;
  const best = low !== undefined && high !== undefined ? `Best from ${low} to ${high}.` : '';
  const ends = ui.rangeLabels?.['min'] && ui.rangeLabels['max'] ? `${ui.rangeLabels['min']} to ${ui.rangeLabels['max']}.` : '';
  return [description, ends, best].filter(Boolean).join(' ');
}

const titled = (group: string): string => group.charAt(0).toUpperCase() + group.slice(1).replaceAll('-', ' ');
