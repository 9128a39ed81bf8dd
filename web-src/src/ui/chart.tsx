// A line over time, drawn small. Who cannot see it is told its last and its highest value.

import { amount, clockTime, when } from './format';

export interface Point {
  atMs: number;
  value: number;
}

interface Props {
  name: string;
  unit?: string;
  hint?: string;
  /** What is told large. Else: the last value. */
  headline?: string;
  points: readonly Point[];
}

const WIDTH = 320;
const HEIGHT = 84;

export function Chart({ name, unit = '', hint, headline, points }: Props) {
  const last = points[points.length - 1];
  const most = Math.max(0, ...points.map((one) => one.value));
  const top = most || 1;
  const [begin, end] = [points[0]?.atMs ?? 0, last?.atMs ?? 1];
  const x = (one: Point) => ((one.atMs - begin) / (end - begin || 1)) * WIDTH;
  const y = (one: Point) => HEIGHT - 1 - (one.value / top) * (HEIGHT - 4);
  // A single value is a flat line.
  const drawn = last && points.length === 1 ? [last, { ...last, atMs: begin + 1 }] : points;
  const line = drawn.map((one) => `${x(one).toFixed(1)},${y(one).toFixed(1)}`).join(' ');
  const time = (ms: number) => (end - begin > 20 * 3600_000 ? when(ms) : clockTime(ms));
  const said = (value: number) => `${amount(value)}${unit && ` ${unit}`}`;
  return (
    <figure class="chart">
      <figcaption class="spread">
        <span class="small muted">{name}</span>
        <strong class="num">{headline ?? (last ? said(last.value) : '–')}</strong>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={last ? `${name}: ${headline ?? `${said(last.value)} now`}, at most ${said(most)}` : `${name}: nothing yet`}
      >
        {last && (
          <>
            <polygon points={`0,${HEIGHT} ${line} ${WIDTH},${HEIGHT}`} />
            <polyline points={line} />
          </>
        )}
      </svg>
      <p class="chart-foot tiny muted num">
        <span>{points.length > 1 ? time(begin) : ' '}</span>
        <span>{hint ?? (points.length > 1 ? `at most ${amount(most)}` : '')}</span>
        <span>{points.length > 1 ? time(end) : ''}</span>
      </p>
    </figure>
  );
}
