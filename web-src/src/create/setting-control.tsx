// One control for one setting, of the kind that its limit asks for.

import { SelectField, Slider, TextField, Toggle } from '../ui/fields';
import { editValue, framesPerSecond, valueOf } from './draft';
import { isChoice, isNumber, isSwitch, isText, stepOf, type Setting } from './settings';

const FREE_TOP = 600; // where a limit has no upper end

export function SettingControl({ setting }: { setting: Setting }) {
  const { name, label, hint, limit } = setting;
  const value = valueOf(name);
  if (name === 'frames' && isNumber(limit)) return <Length setting={setting} />;
  if (isChoice(limit)) {
    const numeric = typeof limit.allowed[0] === 'number';
    return (
      <SelectField
        label={label}
        hint={hint}
        value={String(value)}
        options={limit.allowed.map((one) => [String(one), String(one)])}
        onValue={(text) => editValue(name, text === String(limit.default) ? undefined : numeric ? Number(text) : text)}
      />
    );
  }
  if (isNumber(limit)) {
    return (
      <Slider
        label={label}
        hint={hint}
        min={limit.min}
        max={limit.max ?? FREE_TOP}
        step={stepOf(limit)}
        value={Number(value)}
        onValue={(next) => editValue(name, next === limit.default ? undefined : next)}
      />
    );
  }
  if (isText(limit)) {
    return (
      <TextField
        label={label}
        hint={hint}
        maxLength={limit.maxLength}
        required={limit.required ?? false}
        value={String(value ?? '')}
        onValue={(text) => editValue(name, text || undefined)}
      />
    );
  }
  if (isSwitch(limit)) {
    return <Toggle label={label} checked={Boolean(value)} onValue={(on) => editValue(name, on)} />;
  }
  return null;
}

/** Frames are asked for in seconds: they count `motionFps` of a second, or `fps`. */
function Length({ setting }: { setting: Setting }) {
  const { limit, label } = setting;
  if (!isNumber(limit)) return null;
  const perSecond = framesPerSecond();
  const step = limit.step ?? 1;
  const frames = Number(valueOf('frames'));
  const seconds = (count: number) => Math.round((count / perSecond) * 10) / 10;
  return (
    <Slider
      label={label}
      hint={`${frames} frames`}
      min={seconds(limit.min)}
      max={seconds(limit.max ?? FREE_TOP)}
      step={0.1}
      value={seconds(frames)}
      onValue={(next) => {
        const steps = Math.round((next * perSecond - limit.min) / step);
        const count = Math.min(limit.max ?? Infinity, Math.max(limit.min, limit.min + steps * step));
        editValue('frames', count === limit.default ? undefined : count);
      }}
    />
  );
}
