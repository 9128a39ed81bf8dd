// A mask as it is painted: strokes that can be taken back, drawn on nothing. No page in it.

export interface Stroke {
  kind: 'paint' | 'erase';
  /** Width in pixels of the mask. */
  width: number;
  points: [x: number, y: number][];
}
export type Step = Stroke | { kind: 'invert' } | { kind: 'clear' };

export const LONGEST_SIDE = 1024;
const TINT = '#d5f24b'; // seen on every picture; only how much of it there is counts

/** Draws everything from the beginning; `begun`: the mask that was there before. */
export function draw(canvas: HTMLCanvasElement, begun: CanvasImageSource | null, steps: readonly Step[]): void {
  const { width, height } = canvas;
  const pen = canvas.getContext('2d')!;
  pen.clearRect(0, 0, width, height);
  if (begun) pen.drawImage(begun, 0, 0, width, height);
  for (const step of steps) one(pen, step, width, height);
  fill(pen, 'source-in', TINT);
}

function fill(pen: CanvasRenderingContext2D, how: GlobalCompositeOperation, color: string): void {
  pen.globalCompositeOperation = how;
  pen.fillStyle = color;
  pen.fillRect(0, 0, pen.canvas.width, pen.canvas.height);
  pen.globalCompositeOperation = 'source-over';
}

function one(pen: CanvasRenderingContext2D, step: Step, width: number, height: number): void {
  switch (step.kind) {
    case 'clear':
      pen.clearRect(0, 0, width, height);
      break;
    case 'invert':
      fill(pen, 'xor', '#fff');
      break;
    case 'paint':
    case 'erase':
      pen.globalCompositeOperation = step.kind === 'paint' ? 'source-over' : 'destination-out';
      line(pen, step);
  }
  pen.globalCompositeOperation = 'source-over';
}

function line(pen: CanvasRenderingContext2D, { width, points }: Stroke): void {
  pen.strokeStyle = '#fff';
  pen.lineWidth = width;
  pen.lineCap = pen.lineJoin = 'round';
  pen.beginPath();
  const [first, ...rest] = points;
  pen.moveTo(...first!);
  // A line to where it began is a dot.
  for (const point of rest.length > 0 ? rest : [first!]) pen.lineTo(...point);
  pen.stroke();
}

/** A mask as a picture, white on black, from what is painted on nothing. */
export function asPicture(painted: HTMLCanvasElement): Promise<Blob | null> {
  const canvas = sized(painted.width, painted.height);
  const pen = canvas.getContext('2d')!;
  pen.drawImage(painted, 0, 0);
  fill(pen, 'source-in', '#fff');
  fill(pen, 'destination-over', '#000');
  return new Promise((done) => canvas.toBlob(done, 'image/png'));
}

/** The other way round: what is white stays, what is black becomes nothing. */
export function fromPicture(picture: ImageBitmap): HTMLCanvasElement {
  const canvas = sized(picture.width, picture.height);
  const pen = canvas.getContext('2d')!;
  pen.drawImage(picture, 0, 0);
  const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    pixels.data[at + 3] = pixels.data[at]!;
    pixels.data.fill(255, at, at + 3);
  }
  pen.putImageData(pixels, 0, 0);
  return canvas;
}

export function isEmpty(painted: HTMLCanvasElement): boolean {
  const pixels = painted.getContext('2d')!.getImageData(0, 0, painted.width, painted.height).data;
  for (let at = 3; at < pixels.length; at += 4) if (pixels[at]! > 0) return false;
  return true;
}

function sized(width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [width, height];
  return canvas;
}
