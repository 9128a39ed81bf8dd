// The controls that forms are made of. Each is a plain element underneath, so keyboards and screen
// readers know it already.

import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { Icon } from './icon';

interface Labelled {
  label: string;
  hint?: string | undefined;
}

export function Field({ label, hint, children, id }: Labelled & { children: ComponentChildren; id: string }) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
      {hint && (
        <span class="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
    </div>
  );
}

interface TextProps extends Labelled {
  value: string;
  onValue: (value: string) => void;
  type?: 'text' | 'password' | 'email' | 'url' | 'number';
  placeholder?: string;
  autocomplete?: string;
  required?: boolean;
  maxLength?: number;
}

export function TextField({ label, hint, value, onValue, type = 'text', ...rest }: TextProps) {
  const id = useId();
  return (
    <Field label={label} hint={hint} id={id}>
      <input
        class="input"
        id={id}
        value={value}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onInput={(event) => onValue(event.currentTarget.value)}
        {...({ type, ...rest } as object)}
      />
    </Field>
  );
}

interface SearchProps {
  label: string;
  placeholder: string;
  value: string;
  onValue: (value: string) => void;
}

/** Words to look for; its name is read aloud, not shown. */
export function SearchField({ label, placeholder, value, onValue }: SearchProps) {
  return (
    <label class="search">
      <Icon name="search" />
      <input
        class="input"
        type="search"
        aria-label={label}
        placeholder={placeholder}
        value={value}
        onInput={(event) => onValue(event.currentTarget.value)}
      />
    </label>
  );
}

interface SelectProps<T extends string> extends Labelled {
  value: T;
  options: readonly (readonly [value: T, label: string])[];
  onValue: (value: T) => void;
}

export function SelectField<T extends string>({ label, hint, value, options, onValue }: SelectProps<T>) {
  const id = useId();
  return (
    <Field label={label} hint={hint} id={id}>
      <select class="select" id={id} value={value} onChange={(event) => onValue(event.currentTarget.value as T)}>
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </Field>
  );
}

interface SliderProps extends Labelled {
  value: number;
  min: number;
  max: number;
  step: number;
  onValue: (value: number) => void;
}

/** A slider and, beside it, the same value to type. */
export function Slider({ label, hint, value, min, max, step, onValue }: SliderProps) {
  const id = useId();
  const fill = `${max > min ? ((value - min) / (max - min)) * 100 : 0}%`;
  const take = (text: string) => {
    const next = Number(text);
    if (text !== '' && Number.isFinite(next)) onValue(Math.min(max, Math.max(min, next)));
  };
  return (
    <Field label={label} hint={hint} id={id}>
      <div class="slider">
        <input
          type="range"
          id={id}
          style={{ '--fill': fill }}
          {...{ min, max, step, value }}
          onInput={(event) => take(event.currentTarget.value)}
        />
        <input
          class="input"
          type="number"
          aria-label={label}
          {...{ min, max, step, value }}
          onChange={(event) => take(event.currentTarget.value)}
        />
      </div>
    </Field>
  );
}

interface ToggleProps {
  label: ComponentChildren;
  checked: boolean;
  onValue: (value: boolean) => void;
}

export function Toggle({ label, checked, onValue }: ToggleProps) {
  return (
    <label class="switch">
      <span>{label}</span>
      <input
        type="checkbox"
        role="switch"
        checked={checked}
        onChange={(event) => onValue(event.currentTarget.checked)}
      />
    </label>
  );
}

interface SegmentsProps<T extends string> {
  name: string;
  value: T;
  options: readonly (readonly [value: T, label: ComponentChildren])[];
  onValue: (value: T) => void;
}

/** A few choices of which one holds, side by side. */
export function Segments<T extends string>({ name, value, options, onValue }: SegmentsProps<T>) {
  const id = useId();
  return (
    <div class="segments" role="radiogroup" aria-label={name}>
      {options.map(([key, label]) => (
        <label key={key}>
          <input type="radio" name={id} value={key} checked={key === value} onChange={() => onValue(key)} />
          {label}
        </label>
      ))}
    </div>
  );
}
