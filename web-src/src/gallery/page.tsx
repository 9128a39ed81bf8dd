// Every result of the account: searched, filtered, looked at one after the other, taken home.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Media } from '../api/types';
import { Tile } from '../create/tile';
import { resultFile } from '../create/submit';
import { kinds } from '../state/catalog';
import { all, listed, load, mediaKeptS, nextPage, shown, type Job, type Project } from '../state/projects';
import { toast, tried } from '../state/toasts';
import { SearchField, Segments } from '../ui/fields';
import { duration, plural } from '../ui/format';
import { Icon } from '../ui/icon';
import { fileName, save } from './files';
import { at, compared } from './compared';
import { deleteResults } from './remove';
import { neighbours, openViewer } from './viewer';

interface Found {
  key: string;
  project: Project;
  job: Job;
}

const LABELS = { all: 'All', image: 'Images', video: 'Videos', audio: 'Audio' };

/** Whether every word is somewhere in what is known of a result. */
function matches({ project, job }: Found, words: string): boolean {
  const text = `${job.prompt ?? ''} ${project.prompt} ${project.modelName} ${job.seed ?? ''} ${job.worker}`.toLowerCase();
  return words.split(/\s+/).every((word) => text.includes(word));
}

export default function GalleryPage() {
  const [kind, setKind] = useState<Media | 'all'>('all');
  const [words, setWords] = useState('');
  const [chosen, setChosen] = useState<ReadonlySet<string> | null>(null);
  const [busy, setBusy] = useState(false);
  const projects = all.value;
  const found = useMemo(() => {
    const results = projects.flatMap((project) =>
      shown(project).map((job) => ({ key: `${project.id}/${job.index}`, project, job }))
    );
    const wanted = words.trim().toLowerCase();
    return results.filter((one) => (kind === 'all' || one.project.media === kind) && matches(one, wanted));
  }, [projects, kind, words]);

  function open(one: Found) {
    neighbours.value = found.map(({ project, job }) => ({ projectId: project.id, index: job.index }));
    openViewer.value = { projectId: one.project.id, index: one.job.index };
  }

  function choose(key: string, on: boolean) {
    const next = new Set(chosen);
    if (on) next.add(key);
    else next.delete(key);
    setChosen(next);
  }

  async function download() {
    setBusy(true);
    await tried(() => downloadAll(wanted));
    setBusy(false);
    setChosen(null);
  }

  const wanted = found.filter((one) => chosen?.has(one.key));
  const [first, second] = wanted;
  const pair = wanted.length === 2 && first!.project.media === second!.project.media;

  async function remove() {
    if (await deleteResults(wanted)) setChosen(null);
  }

  return (
    <div class="page">
      <header class={chosen ? 'page-head choosing' : 'page-head'}>
        <div>
          <h1>Gallery</h1>
          <p class="small muted">
            {plural(found.length, 'result')}
            {nextPage.value !== null && ' so far'}. Files are kept for {duration(mediaKeptS.value)} after they were made.
          </p>
        </div>
        <div class="row wrap">
          {chosen ? (
            <>
              <button type="button" class="button" onClick={() => setChosen(new Set(found.map((one) => one.key)))}>
                All {found.length}
              </button>
              {pair && (
                <button
                  type="button"
                  class="button"
                  onClick={() => (compared.value = { left: at(first!.project, first!.job), right: at(second!.project, second!.job) })}
                >
                  <Icon name="compare" /> Compare
                </button>
              )}
              <button type="button" class="button danger" disabled={wanted.length === 0} onClick={() => void remove()}>
                <Icon name="trash" /> Delete {wanted.length}
              </button>
              <button
                type="button"
                class="button primary"
                disabled={wanted.length === 0 || busy}
                onClick={() => void download()}
              >
                <Icon name="download" /> {busy ? 'Packing …' : `Download ${wanted.length}`}
              </button>
              <button type="button" class="button plain" onClick={() => setChosen(null)}>
                Done
              </button>
            </>
          ) : (
            <button type="button" class="button" disabled={found.length === 0} onClick={() => setChosen(new Set())}>
              <Icon name="check" /> Choose
            </button>
          )}
        </div>
      </header>
      <div class="filters">
        <SearchField label="Search results" placeholder="Words, model, seed or worker" value={words} onValue={setWords} />
        {kinds.value.length > 1 && (
          <Segments
            name="Kind of results"
            value={kind}
            options={(['all', ...kinds.value] as const).map((one) => [one, LABELS[one]])}
            onValue={setKind}
          />
        )}
      </div>
      {listed.value && found.length === 0 && (
        <div class="empty">
          <Icon name="gallery" />
          <h2>{words || kind !== 'all' ? 'Nothing like that' : 'Nothing here yet'}</h2>
          <p>
            {words || kind !== 'all'
              ? 'Other words, or another kind, may find it.'
              : 'What you make appears here, also what your own programs ask for.'}
          </p>
          {!words && kind === 'all' && (
            <a class="button primary" href="#/create">
              Make something
            </a>
          )}
        </div>
      )}
      <ol class="wall" aria-label="Results">
        {found.map((one) => (
          <Piece
            key={one.key}
            found={one}
            chosen={chosen ? chosen.has(one.key) : null}
            choose={(on) => choose(one.key, on)}
            open={() => open(one)}
          />
        ))}
      </ol>
      {nextPage.value !== null && <Older />}
    </div>
  );
}

interface PieceProps {
  found: Found;
  /** Null: nobody is choosing. */
  chosen: boolean | null;
  choose: (on: boolean) => void;
  open: () => void;
}

function Piece({ found, chosen, choose, open }: PieceProps) {
  const { project, job } = found;
  const ratio = project.media === 'audio' ? 2.4 : Math.min(2.4, Math.max(0.5, project.width / project.height || 1));
  return (
    <li class={chosen ? 'piece chosen' : 'piece'} style={{ '--ratio': ratio }}>
      <Tile project={project} job={job} open={open} />
      {project.media === 'audio' && <p class="piece-name small">{job.prompt ?? project.prompt}</p>}
      {chosen !== null && (
        <label class="pick">
          <input
            type="checkbox"
            checked={chosen}
            aria-label={`Choose: ${job.prompt ?? project.prompt}, result ${job.index + 1}`}
            onChange={(event) => choose(event.currentTarget.checked)}
          />
        </label>
      )}
    </li>
  );
}

/** The next page comes when the end of this one is near; the button is for keyboards. */
function Older() {
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const watch = new IntersectionObserver(
      (entries) => entries.some((entry) => entry.isIntersecting) && void tried(() => load(true)),
      { rootMargin: '600px' }
    );
    watch.observe(button.current!);
    return () => watch.disconnect();
  }, [nextPage.value]);
  return (
    <button ref={button} type="button" class="button older" onClick={() => void tried(() => load(true))}>
      Show older ones
    </button>
  );
}

async function downloadAll(wanted: Found[]): Promise<void> {
  const files: { name: string; input: Blob }[] = [];
  const names = new Map<string, number>();
  for (const { project, job } of wanted) {
    const file = await resultFile(project, job);
    if (!file) continue;
    const name = fileName(project, job, file.type);
    const again = names.get(name) ?? 0;
    names.set(name, again + 1);
    files.push({ name: again ? name.replace(/(\.\w+)$/, `-${again + 1}$1`) : name, input: file });
  }
  if (files.length === 0) return;
  if (files.length === 1) {
    save(files[0]!.input, files[0]!.name);
    return;
  }
  const { downloadZip } = await import('client-zip');
  save(await downloadZip(files).blob(), 'dreamgrid.zip');
  toast(`${plural(files.length, 'file')} packed.`);
}
