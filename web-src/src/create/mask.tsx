// Where in a picture to paint: by pointer, or by keyboard with a brush that the arrows move.

import { useEffect, useRef, useState } from 'preact/hooks';
import { Dialog } from '../ui/dialog';
import { Segments, Slider } from '../ui/fields';
import { Icon } from '../ui/icon';
import { useUrl } from '../ui/object-url';
import { asPicture, draw, fromPicture, isEmpty, LONGEST_SIDE, type Step, type Stroke } from './painting';

interface Props {
  picture: Blob;
  mask: Blob | undefined;
  /** Null: nothing is painted. */
  onDone: (mask: Blob | null) => void;
  onClose: () => void;
}

type Point = [x: number, y: number];
type Tool = Stroke['kind'];

/** The picture and the mask that it has already, ready to be painted on. */
function useBeginning(picture: Blob, mask: Blob | undefined) {
  const [found, setFound] = useState<{ width: number; height: number; begun: HTMLCanvasElement | null } | null>(null);
  useEffect(() => {
    let current = true;
    const read = async () => {
      const image = await createImageBitmap(picture);
      const begun = mask ? fromPicture(await createImageBitmap(mask)) : null;
      const scale = Math.min(1, LONGEST_SIDE / Math.max(image.width, image.height));
      const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * scale)));
      if (current) setFound({ width: width!, height: height!, begun });
    };
    void read();
    return () => {
      current = false;
    };
  }, [picture, mask]);
  return found;
}

export default function MaskPainter({ picture, mask, onDone, onClose }: Props) {
  const url = useUrl(picture);
  const beginning = useBeginning(picture, mask);
  const [tool, setTool] = useState<Tool>('paint');
  const [size, setSize] = useState(12);
  const [steps, setSteps] = useState<readonly Step[]>([]);
  const canvas = useRef<HTMLCanvasElement>(null);

  // While somebody paints, the last step grows; it is drawn with the others at once.
  useEffect(() => {
    if (beginning && canvas.current) draw(canvas.current, beginning.begun, steps);
  }, [beginning, url, steps]);

  async function take() {
    const painted = canvas.current!;
    onDone(isEmpty(painted) ? null : await asPicture(painted));
  }
  const add = (step: Step) => setSteps((before) => [...before, step]);
  const undo = () => setSteps((before) => before.slice(0, -1));

  return (
    <Dialog title="Paint what is to change" class="sheet painter" onClose={onClose}>
      <div class="painter-tools">
        <Segments
          name="Tool"
          value={tool}
          options={[
            ['paint', <Labelled key="paint" icon="brush" text="Paint" />],
            ['erase', <Labelled key="erase" icon="eraser" text="Erase" />]
          ]}
          onValue={setTool}
        />
        <Slider label="Brush, % of the picture" min={1} max={40} step={1} value={size} onValue={setSize} />
      </div>
      {beginning && url && (
        <Area
          {...{ url, canvas, tool, undo }}
          width={beginning.width}
          height={beginning.height}
          brush={(size / 100) * Math.min(beginning.width, beginning.height)}
          onSteps={setSteps}
        />
      )}
      <p class="tiny muted">
        What you paint is made anew, the rest stays as it is. By keyboard: the arrows move the brush, Space paints,
        Ctrl and Z takes back.
      </p>
      <div class="spread wrap">
        <span class="row">
          <button type="button" class="icon-button" aria-label="Take back" title="Take back (Ctrl Z)" onClick={undo}>
            <Icon name="undo" />
          </button>
          <button type="button" class="button plain" onClick={() => add({ kind: 'invert' })}>
            <Icon name="swap" /> Invert
          </button>
          <button type="button" class="button plain" onClick={() => add({ kind: 'clear' })}>
            Clear
          </button>
        </span>
        <button type="button" class="button primary" disabled={!beginning} onClick={() => void take()}>
          Use the mask
        </button>
      </div>
    </Dialog>
  );
}

function Labelled({ icon, text }: { icon: 'brush' | 'eraser'; text: string }) {
  return (
    <>
      <Icon name={icon} /> {text}
    </>
  );
}

interface AreaProps {
  url: string;
  canvas: { current: HTMLCanvasElement | null };
  width: number;
  height: number;
  brush: number;
  tool: Tool;
  onSteps: (change: (before: readonly Step[]) => readonly Step[]) => void;
  undo: () => void;
}

const STEP = 1 / 40;

function Area({ url, canvas, width, height, brush, tool, onSteps, undo }: AreaProps) {
  const [at, setAt] = useState<Point>([width / 2, height / 2]);
  const painting = useRef(false);
  const begin = (point: Point) =>
    onSteps((before) => [...before, { kind: tool, width: brush, points: [point] }]);
  const goOn = (point: Point) =>
    onSteps((before) => {
      const last = before[before.length - 1];
      if (!last || !('points' in last)) return before;
      return [...before.slice(0, -1), { ...last, points: [...last.points, point] }];
    });

  function pointOf(event: PointerEvent): Point {
    const box = canvas.current!.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  }

  function key(event: KeyboardEvent) {
    const far = Math.max(width, height) * STEP;
    const move = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] }[event.key];
    if (move) {
      const next: Point = [
        Math.min(width, Math.max(0, at[0] + move[0]!)),
        Math.min(height, Math.max(0, at[1] + move[1]!))
      ];
      setAt(next);
      if (painting.current) goOn(next);
    } else if (event.key === ' ') {
      if (!painting.current) begin(at);
      painting.current = true;
    } else if (event.key === 'z' && (event.ctrlKey || event.metaKey)) undo();
    else return;
    event.preventDefault();
  }

  const place = { left: `${(at[0] / width) * 100}%`, top: `${(at[1] / height) * 100}%`, width: `${(brush / width) * 100}%` };
  return (
    <div class="painter-area" style={{ aspectRatio: width / height, '--ratio': width / height }}>
      <img src={url} alt="" />
      <canvas
        ref={canvas}
        {...{ width, height }}
        tabIndex={0}
        role="application"
        aria-label="The picture; arrows move the brush, Space paints"
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          painting.current = true;
          setAt(pointOf(event));
          begin(pointOf(event));
        }}
        onPointerMove={(event) => {
          setAt(pointOf(event));
          if (painting.current) goOn(pointOf(event));
        }}
        onPointerUp={() => (painting.current = false)}
        onPointerCancel={() => (painting.current = false)}
        onKeyDown={key}
        onKeyUp={(event) => {
          if (event.key === ' ') painting.current = false;
        }}
        onBlur={() => (painting.current = false)}
      />
      <i class={`brush ${tool}`} style={place} aria-hidden="true" />
    </div>
  );
}
