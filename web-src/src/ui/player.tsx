// Sound with its shape. The shape is measured from the file itself, once.

import { useEffect, useRef, useState } from 'preact/hooks';
import type { Job, Project } from '../state/projects';
import { clock } from './format';
import { Icon } from './icon';

const BARS = 72;
const shapes = new Map<string, Promise<number[]>>();

async function measure(url: string): Promise<number[]> {
  const bytes = await (await fetch(url)).arrayBuffer();
  const sound = await new OfflineAudioContext(1, 1, 22_050).decodeAudioData(bytes);
  const samples = sound.getChannelData(0);
  const size = Math.floor(samples.length / BARS) || 1;
  const peaks = Array.from({ length: BARS }, (_, bar) => {
    let sum = 0;
    for (let at = bar * size; at < (bar + 1) * size; at += 4) sum += (samples[at] ?? 0) ** 2;
    return Math.sqrt(sum / (size / 4));
  });
  const top = Math.max(...peaks, 0.001);
  return peaks.map((peak) => Math.max(0.06, peak / top));
}

interface Props {
  project: Project;
  job: Job;
  open?: () => void;
  onBroken?: () => void;
}

export function Player({ project, job, open, onBroken }: Props) {
  const audio = useRef<HTMLAudioElement>(null);
  const [playing, setPlaying] = useState(false);
  const [at, setAt] = useState(0);
  const [length, setLength] = useState(0);
  const [shape, setShape] = useState<number[] | null>(null);
  const key = job.id ?? '';
  useEffect(() => {
    if (!job.resultUrl) return;
    if (!shapes.has(key)) shapes.set(key, measure(job.resultUrl));
    shapes.get(key)!.then(setShape, () => shapes.delete(key));
  }, [key, job.resultUrl]);

  const share = length > 0 ? at / length : 0;
  const name = job.prompt ?? project.prompt;
  return (
    <div class="player">
      <audio
        ref={audio}
        src={job.resultUrl ?? undefined}
        preload="metadata"
        onPlay={() => setPlaying(true)}
        onPause={() => setPlaying(false)}
        onTimeUpdate={(event) => setAt(event.currentTarget.currentTime)}
        onLoadedMetadata={(event) => setLength(event.currentTarget.duration)}
        onError={() => onBroken?.()}
      />
      <button
        type="button"
        class="player-button"
        aria-label={`${playing ? 'Pause' : 'Play'}: ${name}`}
        onClick={() => (playing ? audio.current?.pause() : void audio.current?.play())}
      >
        <Icon name={playing ? 'pause' : 'play'} />
      </button>
      <div class="player-shape">
        <div class="wave" aria-hidden="true">
          {(shape ?? Array<number>(BARS).fill(0.1)).map((height, bar) => (
            <i key={bar} class={bar / BARS < share ? 'past' : ''} style={{ height: `${height * 100}%` }} />
          ))}
        </div>
        <input
          type="range"
          aria-label={`Position in ${name}`}
          min={0}
          max={length || 1}
          step={0.1}
          value={at}
          onInput={(event) => {
            if (audio.current) audio.current.currentTime = Number(event.currentTarget.value);
          }}
        />
      </div>
      <span class="tiny muted num">
        {clock(at)} / {clock(length)}
      </span>
      {open && (
        <button type="button" class="icon-button" aria-label={`Open: ${name}`} onClick={open}>
          <Icon name="info" />
        </button>
      )}
    </div>
  );
}
