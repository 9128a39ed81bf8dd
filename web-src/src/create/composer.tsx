// The form. Its controls come from the catalogue; it knows no model by name.

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Media } from '../api/types';
import { firstModel, kinds, workersOf } from '../state/catalog';
import { balances } from '../state/session';
import { Segments, SelectField, TextField, Toggle } from '../ui/fields';
import { amount } from '../ui/format';
import { Icon } from '../ui/icon';
import { choose, draft, edit, media, missing, model, MOST, offeredLoras, settings, slots, steers } from './draft';
import { DropSlots, Steering } from './drop';
import { Loras } from './loras';
import { ModelPicker } from './model-picker';
import { price, priceProblem } from './price';
import { PromptHelp } from './prompt-help';
import { SettingControl } from './setting-control';
import { SizePicker } from './size-picker';
import { create } from './submit';

const PLACEHOLDER: Record<Media, string> = {
  image: 'A lighthouse in a storm, oil on canvas',
  video: 'Slow waves roll onto a beach at dusk',
  audio: 'A calm piano waltz, late at night'
};

export function Composer() {
  const busy = useSignal(false);
  const form = useRef<HTMLFormElement>(null);

  async function submit() {
    if (missing.value || busy.value) {
      form.current?.querySelector('textarea')?.focus();
      return;
    }
    busy.value = true;
    await create();
    busy.value = false;
  }

  return (
    <form
      ref={form}
      class="composer"
      aria-label="What to make"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
      onKeyDown={(event) => {
        if (event.key === 'Enter' && (event.metaKey || event.ctrlKey)) {
          event.preventDefault();
          void submit();
        }
      }}
    >
      <div class="composer-scroll">
        {kinds.value.length > 1 && (
          <Segments
            name="What to make"
            value={media.value}
            options={kinds.value.map((kind) => [kind, <KindLabel key={kind} kind={kind} />])}
            onValue={(kind) => {
              const next = firstModel(kind);
              if (next) choose(next);
            }}
          />
        )}
        <ModelPicker />
        <Prompt />
        {slots.value.length > 0 && <DropSlots />}
        {steers.value.length > 0 && <Steering />}
        {offeredLoras.value.length > 0 && <Loras />}
        <SizePicker />
        {settings.value
          .filter((setting) => setting.main)
          .map((setting) => (
            <SettingControl key={setting.name} setting={setting} />
          ))}
        <Amount />
        <More />
      </div>
      <Footer busy={busy.value} />
    </form>
  );
}

function KindLabel({ kind }: { kind: Media }) {
  return (
    <>
      <Icon name={kind} />
      {{ image: 'Image', video: 'Video', audio: 'Audio' }[kind]}
    </>
  );
}

function Prompt() {
  const area = useRef<HTMLTextAreaElement>(null);
  const { prompt } = draft.value;
  useEffect(() => {
    // Grows with the words.
    const element = area.current!;
    element.style.height = 'auto';
    element.style.height = `${Math.min(element.scrollHeight + 2, 280)}px`;
  }, [prompt]);
  return (
    <div class="field">
      <div class="spread">
        <label class="label" for="prompt">
          Prompt
        </label>
        <PromptHelp />
      </div>
      <textarea
        id="prompt"
        ref={area}
        rows={3}
        value={prompt}
        placeholder={PLACEHOLDER[media.value]}
        onInput={(event) => edit({ prompt: event.currentTarget.value })}
      />
    </div>
  );
}

function Amount() {
  const { count, seed } = draft.value;
  const most = MOST[media.value];
  // The buttons are never really disabled: the focus on them would be lost.
  const set = (next: number) => edit({ count: Math.min(most, Math.max(1, next || 1)) });
  return (
    <div class="pair">
      <div class="field">
        <label for="count">How many</label>
        <div class="stepper">
          <button type="button" aria-label="One less" aria-disabled={count <= 1} onClick={() => set(count - 1)}>
            <Icon name="minus" />
          </button>
          <input
            id="count"
            class="num"
            inputMode="numeric"
            value={count}
            onChange={(event) => set(Number(event.currentTarget.value))}
          />
          <button type="button" aria-label="One more" aria-disabled={count >= most} onClick={() => set(count + 1)}>
            <Icon name="plus" />
          </button>
        </div>
      </div>
      <div class="field">
        <label for="seed">Seed</label>
        <div class="stepper seed">
          <input
            id="seed"
            class="num"
            inputMode="numeric"
            placeholder="Random"
            value={seed ?? ''}
            onChange={(event) => {
              const text = event.currentTarget.value.trim();
              const next = Number(text);
              edit({ seed: text === '' || !Number.isFinite(next) ? null : Math.min(2 ** 32 - 1, Math.max(0, Math.floor(next))) });
            }}
          />
          <button
            type="button"
            aria-label={seed === null ? 'Keep one seed' : 'A random seed every time'}
            title={seed === null ? 'Keep one seed' : 'A random seed every time'}
            onClick={() => edit({ seed: seed === null ? Math.floor(Math.random() * 2 ** 32) : null })}
          >
            <Icon name={seed === null ? 'lock' : 'dice'} />
          </button>
        </div>
      </div>
    </div>
  );
}

function More() {
  const { negative, style, format, network, unfiltered } = draft.value;
  const formats = model.value?.outputFormats ?? [];
  return (
    <details class="more">
      <summary>
        <Icon name="sliders" /> Fine tuning <Icon name="chevron" />
      </summary>
      <div class="stack">
        {settings.value
          .filter((setting) => !setting.main)
          .map((setting) => (
            <SettingControl key={setting.name} setting={setting} />
          ))}
        <TextField
          label="Not wanted"
          placeholder="blurry, text"
          value={negative}
          onValue={(text) => edit({ negative: text })}
        />
        <TextField
          label="Style"
          hint="Added to the prompt"
          value={style}
          onValue={(text) => edit({ style: text })}
        />
        {formats.length > 1 && (
          <SelectField
            label="File type"
            value={format || formats[0]!}
            options={formats.map((one) => [one, one.toUpperCase()])}
            onValue={(one) => edit({ format: one === formats[0] ? '' : one })}
          />
        )}
        <SelectField
          label="Network"
          value={network}
          options={[
            ['fast', 'Fast'],
            ['relaxed', 'Relaxed']
          ]}
          onValue={(one) => edit({ network: one })}
        />
        <Toggle
          label="Content filter"
          checked={!unfiltered}
          onValue={(on) => edit({ unfiltered: !on })}
        />
      </div>
    </details>
  );
}

function Footer({ busy }: { busy: boolean }) {
  const free = balances.value?.spark.net;
  const tooMuch = price.value !== null && free !== undefined && Number(price.value) > Number(free);
  const nobody = model.value && workersOf(model.value.id) === 0;
  return (
    <div class="composer-foot">
      {(nobody || tooMuch || priceProblem.value) && (
        <p class="foot-note" role="status">
          <span class={`dot ${tooMuch || priceProblem.value ? 'bad' : 'warn'}`} />
          {priceProblem.value ||
            (tooMuch
              ? 'This costs more than you have.'
              : 'No worker offers this model now. It waits until one does.')}
        </p>
      )}
      <div class="spread">
        <p class="price">
          <span class="tiny muted">Price</span>
          <strong class="num" data-testid="price">
            {price.value === null ? '–' : amount(price.value)}
          </strong>
          <span class="tiny muted num">of {amount(free)} spark</span>
        </p>
        <button
          class="button primary large wide"
          disabled={busy || tooMuch}
          title={missing.value || 'Ctrl and Enter'}
          aria-keyshortcuts="Control+Enter Meta+Enter"
        >
          {busy ? 'Sending …' : 'Create'}
        </button>
      </div>
    </div>
  );
}
