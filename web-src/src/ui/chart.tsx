// A line over time, drawn small. Who cannot see it is told its last and its highest value.

import { amount, clockTime } from './format';

export interface Point {
  atMs: number;
  value: number;
}

interface Props {
  name: string;
  unit: string;
  points: readonly Point[];
}

const WIDTH = 320;
const HEIGHT = 84;

export function Chart({ name, unit, points }: Props) {
  const last = points[points.length - 1];
  const top = Math.max(1, ...points.map((one) => one.value));
  const [begin, end] = [points[0]?.atMs ?? 0, last?.atMs ?? 1];
  const x = (one: Point) => ((one.atMs - begin) / Math.max(1, end - begin)) * WIDTH;
  const y = (one: Point) => HEIGHT - 1 - (one.value / top) * (HEIGHT - 4);
  const line = points.map((one) => `${x(one).toFixed(1)},${y(one).toFixed(1)}`).join(' ');
  const said = (value: number) => `${amount(value)}${unit && ` ${unit}`}`;
  return (
    <figure class="chart">
      <figcaption class="spread">
        <span class="small muted">{name}</span>
        <strong class="num">{last ? said(last.value) : '–'}</strong>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={last ? `${name}: ${said(last.value)} now, at most ${said(top)}` : `${name}: nothing yet`}
      >
        {points.length > 1 && (
          <>
            <polygon points={`0,${HEIGHT} ${line} ${WIDTH},${HEIGHT}`} />
            <polyline points={line} />
          </>
        )}
      </svg>
      <p class="spread tiny muted num">
        <span>{points.length > 1 ? clockTime(begin) : ' '}</span>
        <span>{points.length > 1 ? `at most ${said(Math.max(...points.map((one) => one.value)))}` : ''}</span>
        <span>{points.length > 1 ? clockTime(end) : ''}</span>
      </p>
    </figure>
  );
}
