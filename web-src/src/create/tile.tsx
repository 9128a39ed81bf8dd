// One result on its way: why it waits, how far it is, and what it became.

import { useEffect, useRef } from 'preact/hooks';
import { path } from '../api/http';
import { memo } from '../ui/memo';
import { linkTo, seen, setLink, type Job, type Project } from '../state/projects';
import { duration } from '../ui/format';
import { Icon } from '../ui/icon';
import { Player } from '../ui/player';

interface Props {
  project: Project;
  job: Job;
  open: () => void;
}

export const Tile = memo(function Tile({ project, job, open }: Props) {
  const ratio = project.width && project.height ? project.width / project.height : 1;
  const style = project.media === 'audio' ? {} : { aspectRatio: ratio };
  return (
    <div
      class={`tile ${job.status} ${project.media} ${job.previewUrl ? 'previewed' : ''}`}
      style={style}
      data-testid="tile"
      data-status={job.status}
    >
      <Content project={project} job={job} open={open} />
    </div>
  );
}, same);

/** A tile is drawn again only when what it shows has changed. */
function same(a: Props, b: Props): boolean {
  const waits = a.job.status === 'waiting';
  return (
    a.job === b.job &&
    a.project.status === b.project.status &&
    a.project.width === b.project.width &&
    (!waits || (a.project.waiting === b.project.waiting && a.project.startsInS === b.project.startsInS))
  );
}

function Content({ project, job, open }: Props) {
  switch (job.status) {
    case 'completed':
      if (job.withheld) return <Said icon="lock" text="Withheld by the content filter" />;
      return <Result project={project} job={job} open={open} />;
    case 'failed':
      return <Said icon="warn" text={job.reason || 'It could not be made.'} bad />;
    case 'canceled':
      return <Said icon="close" text="Canceled" />;
    case 'running':
    case 'loading':
      return <Running project={project} job={job} />;
    case 'waiting':
      return <Waits project={project} job={job} />;
  }
}

function Said({ icon, text, bad }: { icon: 'lock' | 'warn' | 'close'; text: string; bad?: boolean }) {
  return (
    <div class={bad ? 'tile-said bad' : 'tile-said'}>
      <Icon name={icon} />
      <span>{text}</span>
    </div>
  );
}

function Waits({ project, job }: { project: Project; job: Job }) {
  const noWorker = project.waiting?.reason === 'no_workers';
  const sending = project.status === 'sending';
  return (
    <div class="tile-wait">
      <span class={`dot ${noWorker ? 'warn' : ''}`} />
      <span class="tile-why">{sending ? 'Sending …' : reason(project, job)}</span>
      {project.startsInS !== null && !noWorker && !sending && (
        <span class="tiny muted num">starts in about {duration(project.startsInS)}</span>
      )}
    </div>
  );
}

function reason(project: Project, job: Job): string {
  if (job.reason) return 'Again, on another worker';
  if (project.waiting?.reason === 'no_workers') return 'Waits for a worker that offers this model';
  if (project.waiting?.reason === 'concurrency_limit') return 'Waits for your other renders to end';
  if (project.position !== null && project.position > 1) return `Number ${project.position} in the queue`;
  return 'Next in the queue';
}

function Running({ project, job }: { project: Project; job: Job }) {
  const bottom = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!job.id) return;
    const { id } = job;
    const watch = new IntersectionObserver((entries) => seen(project.id, id, entries.at(-1)!.isIntersecting), {
      rootMargin: '200px'
    });
    watch.observe(bottom.current!);
    return () => watch.disconnect();
  }, [project.id, job.id]);
  const share = job.stepCount > 0 ? Math.min(1, job.step / job.stepCount) : 0;
  return (
    <>
      {job.previewUrl && (
        <img class="tile-preview" decoding="async" src={job.previewUrl} alt="What it looks like so far" />
      )}
      <div class="tile-run" ref={bottom}>
        <span class="tile-step num">
          {job.status === 'loading' ? 'Loading the model' : `${job.step} / ${job.stepCount}`}
          {job.etaS !== null && job.status === 'running' && <span> · {duration(job.etaS)}</span>}
        </span>
        {job.worker && <span class="tile-worker">{job.worker}</span>}
        <span
          class="bar"
          role="progressbar"
          aria-label="Progress"
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.round(share * 100)}
        >
          <i style={{ transform: `scaleX(${share})` }} />
        </span>
      </div>
    </>
  );
}

const SMALL_PX = 512; // of the longer side, as the server makes them

/** The picture, and a small version where that is enough; the browser knows how many pixels a tile has. */
function sources(project: Project, job: Job): { src: string; srcset?: string; sizes?: string } {
  const src = job.resultUrl!;
  const { width, height } = project;
  const longer = Math.max(width, height);
  if (!job.id || longer <= SMALL_PX * 1.25) return { src };
  const small = path`/v1/projects/${project.id}/jobs/${job.id}/thumbnail`;
  const smallWidth = Math.round((width * SMALL_PX) / longer);
  // In this order: a browser begins with the first that it is told.
  return { sizes: TILE_SIZES, srcset: `${small} ${smallWidth}w, ${src} ${width}w`, src };
}

const TILE_SIZES = '(max-width: 700px) 48vw, 300px';

function Result({ project, job, open }: Props) {
  if (!job.resultUrl) return <Said icon="close" text="Its file is no longer kept" />;
  /** A link ends after an hour, its file later. */
  const mend = async () => {
    if (job.id) setLink(project.id, job.id, await linkTo(project, job));
  };
  if (project.media === 'audio') {
    return <Player project={project} job={job} open={open} onBroken={() => void mend()} />;
  }
  const name = `${job.prompt ?? project.prompt}, result ${job.index + 1}`;
  return (
    <button type="button" class="tile-open" aria-label={`Open: ${name}`} onClick={open}>
      {project.media === 'video' ? (
        <video
          src={`${job.resultUrl}#t=0.001`} // else some phones show nothing until it plays
          muted
          loop
          playsInline
          preload="metadata"
          onPointerEnter={(event) => void event.currentTarget.play().catch(() => undefined)}
          onPointerLeave={(event) => event.currentTarget.pause()}
          onError={() => void mend()}
        />
      ) : (
        <img alt="" loading="lazy" decoding="async" onError={() => void mend()} {...sources(project, job)} />
      )}
      {project.media === 'video' && (
        <span class="tile-kind">
          <Icon name="play" />
        </span>
      )}
    </button>
  );
}
