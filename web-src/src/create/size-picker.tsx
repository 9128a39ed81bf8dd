// Named sizes as small shapes, and any other in pixels.

import { useEffect, useState } from 'preact/hooks';
import type { SizePreset } from '../api/types';
import { limitOf, presetsOf } from '../state/catalog';
import { tried } from '../state/toasts';
import { Slider } from '../ui/fields';
import { Icon } from '../ui/icon';
import { draft, edit, model, size } from './draft';
import { isNumber } from './settings';

export function SizePicker() {
  const entry = model.value;
  const { network } = draft.value;
  const [presets, setPresets] = useState<SizePreset[]>([]);
  const [custom, setCustom] = useState(false);
  useEffect(() => {
    let current = true;
    if (entry) void tried(() => presetsOf(entry, network)).then((found) => current && setPresets(found ?? []));
    return () => {
      current = false;
    };
  }, [entry?.id, network]);

  if (!entry || !size.value) return null;
  const [width, height] = size.value;
  const limits = entry.size ?? tierSize();
  const chosen = presets.find((preset) => preset.width === width && preset.height === height);
  const showCustom = custom || presets.length === 0 || !chosen;

  return (
    <fieldset class="sizes">
      <legend class="label">
        Size{' '}
        <span class="muted num">
          {width} × {height}
        </span>
      </legend>
      {presets.length > 0 && (
        <div class="size-grid">
          {presets.map((preset) => (
            <label key={preset.id} title={`${preset.label}, ${preset.width} × ${preset.height}`}>
              <input
                type="radio"
                name="size"
                class="sr"
                checked={!showCustom && preset.id === chosen?.id}
                onChange={() => {
                  setCustom(false);
                  edit({ size: [preset.width, preset.height] });
                }}
              />
              <Shape width={preset.width} height={preset.height} />
              <span class="num">{named(preset, presets)}</span>
              <span class="sr">{preset.label}</span>
            </label>
          ))}
          <label title="Any other size">
            <input type="radio" name="size" class="sr" checked={showCustom} onChange={() => setCustom(true)} />
            <span class="shape">
              <Icon name="plus" />
            </span>
            <span>Custom</span>
          </label>
        </div>
      )}
      {showCustom && limits && (
        <div class="stack">
          {(['width', 'height'] as const).map((side, at) => (
            <Slider
              key={side}
              label={at === 0 ? 'Width' : 'Height'}
              min={limits.min}
              max={limits.max}
              step={limits.step ?? 1}
              value={size.value![at]!}
              onValue={(next) => edit({ size: at === 0 ? [next, height] : [width, next] })}
            />
          ))}
        </div>
      )}
    </fieldset>
  );
}

/** The ratio; of several with the same one, also how large. */
function named(preset: SizePreset, presets: SizePreset[]): string {
  const twins = presets.filter((one) => one.ratio === preset.ratio);
  return twins.length > 1 ? `${preset.ratio} ${Math.max(preset.width, preset.height)}` : preset.ratio;
}

function tierSize(): { min: number; max: number; step: number } | null {
  const [width, height] = [limitOf(model.value, 'width'), limitOf(model.value, 'height')];
  if (!width || !height || !isNumber(width) || !isNumber(height)) return null;
  return {
    min: Math.max(width.min, height.min),
    max: Math.min(width.max ?? Infinity, height.max ?? Infinity),
    step: width.step ?? 1
  };
}

function Shape({ width, height }: { width: number; height: number }) {
  const scale = 20 / Math.max(width, height);
  return (
    <span class="shape" aria-hidden="true">
      <i style={{ width: `${width * scale}px`, height: `${height * scale}px` }} />
    </span>
  );
}
