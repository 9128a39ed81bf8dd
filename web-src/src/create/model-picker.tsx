// Which model, and who serves it right now. A searchable list, by keyboard or pointer.

import { useId, useRef, useState } from 'preact/hooks';
import type { Model } from '../api/types';
import { models, tierOf, workersOf } from '../state/catalog';
import { plural } from '../ui/format';
import { Icon } from '../ui/icon';
import { choose, media, model } from './draft';

function matches(entry: Model, words: string): boolean {
  const text = `${entry.name} ${entry.id}`.toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

export function ModelPicker() {
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const [words, setWords] = useState('');
  const [isOpen, setOpen] = useState(false);
  const [active, setActive] = useState(0);
  const current = model.value;

  const found = isOpen
    ? models.value
        .filter((entry) => entry.media === media.value && matches(entry, words))
        .map((entry) => ({ entry, workers: workersOf(entry.id) }))
        .sort((a, b) => Number(b.workers > 0) - Number(a.workers > 0))
    : [];
  const served = found.filter((one) => one.workers > 0).length;

  function place() {
    const box = button.current!.getBoundingClientRect();
    const menu = list.current!;
    menu.style.width = `${Math.max(box.width, 320)}px`;
    menu.style.left = `${Math.min(box.left, innerWidth - Math.max(box.width, 320) - 8)}px`;
    menu.style.top = `${Math.max(8, Math.min(box.bottom + 6, innerHeight - Math.min(460, innerHeight * 0.7) - 8))}px`;
  }

  function take(entry: Model) {
    choose(entry);
    list.current!.hidePopover();
    button.current!.focus();
  }

  function move(event: KeyboardEvent) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      const next = (active + step + found.length) % Math.max(1, found.length);
      setActive(next);
      list.current!.querySelectorAll('[role=option]')[next]?.scrollIntoView({ block: 'nearest' });
    } else if (event.key === 'Enter' && found[active]) {
      event.preventDefault();
      event.stopPropagation();
      take(found[active].entry);
    }
  }

  return (
    <div class="field">
      <span class="label" id={`${id}-label`}>
        Model
      </span>
      <button
        ref={button}
        type="button"
        class="picker"
        popovertarget={id}
        aria-haspopup="listbox"
        aria-labelledby={`${id}-label ${id}-name ${id}-served`}
      >
        <span class="picker-name" id={`${id}-name`}>
          {current?.name ?? 'No models'}
        </span>{' '}
        {current && <Served id={`${id}-served`} workers={workersOf(current.id)} />}
        <Icon name="chevron" />
      </button>
      <div
        ref={list}
        id={id}
        popover="auto"
        class="picker-list"
        onBeforeToggle={(event) => setOpen(event.newState === 'open')}
        onToggle={(event) => {
          if (event.newState !== 'open') return;
          setWords('');
          setActive(0);
          place();
          list.current!.querySelector('input')?.focus();
        }}
      >
        <div class="picker-search">
          <Icon name="search" />
          <input
            type="text"
            role="combobox"
            aria-expanded="true"
            aria-controls={`${id}-options`}
            aria-activedescendant={found[active] ? `${id}-${active}` : undefined}
            aria-label="Search models"
            placeholder="Search models"
            value={words}
            onInput={(event) => {
              setWords(event.currentTarget.value);
              setActive(0);
            }}
            onKeyDown={move}
          />
        </div>
        <div role="listbox" id={`${id}-options`} aria-label="Models" class="picker-options" tabIndex={-1}>
          {found.map(({ entry, workers }, index) => (
            <div
              key={entry.id}
              id={`${id}-${index}`}
              role="option"
              aria-selected={entry.id === current?.id}
              class={index === active ? 'option active' : 'option'}
              data-first-idle={index === served && served > 0 ? '' : undefined}
              onClick={() => take(entry)}
              onPointerMove={() => index !== active && setActive(index)}
            >
              <span>
                <span class="option-name">{entry.name}</span>
                <span class="option-about">{about(entry)}</span>
              </span>
              <Served workers={workers} />
            </div>
          ))}
          {isOpen && found.length === 0 && <p class="empty small">No model is called that.</p>}
        </div>
      </div>
    </div>
  );
}

/** What a model takes, in a few words. */
function about(entry: Model): string {
  const steps = tierOf(entry)['steps'] as { default?: number } | undefined;
  const inputs = entry.inputs ?? [];
  const takes = [
    inputs.some((role) => role === 'startingImage' || role.startsWith('reference')) && 'takes files',
    inputs.some((role) => role.startsWith('context')) && 'edits pictures'
  ];
  return [steps?.default && steps.default > 1 && `${steps.default} steps`, ...takes].filter(Boolean).join(' · ') || entry.id;
}

function Served({ workers, id }: { workers: number; id?: string }) {
  return (
    <span class="served" id={id}>
      <span class={`dot ${workers > 0 ? 'good' : ''}`} />
      {workers > 0 ? plural(workers, 'worker') : 'no worker'}
    </span>
  );
}
