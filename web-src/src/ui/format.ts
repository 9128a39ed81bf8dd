// Numbers, times and amounts as people read them.

// Made once: making one takes longer than using it a hundred times.
const moment = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' });
const tiny = new Intl.NumberFormat('en', { maximumSignificantDigits: 2 });
const cents = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });
const whole = new Intl.NumberFormat('en');
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });

/** An amount of tokens: few digits, but never a price that looks like nothing. */
export function amount(text: string | number | null | undefined): string {
  const value = Number(text ?? 0);
  if (!Number.isFinite(value)) return '–';
  if (value !== 0 && Math.abs(value) < 0.01) return tiny.format(value);
  return cents.format(value);
}

export function ago(ms: number): string {
  const seconds = (ms - Date.now()) / 1000;
  const steps: [number, Intl.RelativeTimeFormatUnit][] = [
    [60, 'second'],
    [3600, 'minute'],
    [86_400, 'hour'],
    [Infinity, 'day']
  ];
  const size = { second: 1, minute: 60, hour: 3600, day: 86_400 } as Record<string, number>;
  const [, unit] = steps.find(([limit]) => Math.abs(seconds) < limit)!;
  if (unit === 'second' && Math.abs(seconds) < 10) return 'just now';
  return relative.format(Math.round(seconds / size[unit]!), unit);
}

export function when(ms: number): string {
  return moment.format(ms);
}

/** A while: 8 s, 3 min, 2 h. */
export function duration(seconds: number): string {
  if (seconds < 1) return '1 s';
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** A position in a recording: 1:07. */
export function clock(seconds: number): string {
  const all = Math.max(0, Math.floor(seconds));
  return `${Math.floor(all / 60)}:${String(all % 60).padStart(2, '0')}`;
}

export function plural(count: number, one: string, many = one + 's'): string {
  return `${whole.format(count)} ${count === 1 ? one : many}`;
}

/** A time of this day: 17:08. */
export function clockTime(ms: number): string {
  return new Date(ms).toLocaleTimeString('en', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
}

/** A size of files: 3.4 GB. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const at = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  return `${(count / 1000 ** at).toLocaleString('en', { maximumFractionDigits: at > 2 ? 1 : 0 })} ${units[at]}`;
}
