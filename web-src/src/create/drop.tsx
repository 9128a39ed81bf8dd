// Files to begin with: dropped, pasted or chosen.

import { useEffect, useState } from 'preact/hooks';
import { toast } from '../state/toasts';
import { SelectField, Slider } from '../ui/fields';
import { Icon } from '../ui/icon';
import { MaskPainter } from '../ui/lazy';
import { useUrl } from '../ui/object-url';
import {
  draft,
  edit,
  files,
  framesPerSecond,
  media,
  model,
  setFile,
  setMask,
  setSteer,
  slots,
  steer,
  steers,
  valueOf
} from './draft';
import { ACCEPTS, INPAINT, isKeyFrame, paintsIn, START, STEER, steerSlot, type Slot } from './inputs';

const FIRST = 2;

export function DropSlots() {
  const [all, setAll] = useState(false);
  useEffect(() => {
    // A picture from the clipboard goes into the first free slot for pictures.
    const paste = (event: ClipboardEvent) => {
      const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith('image/'));
      const free = slots.value.find((slot) => slot.kind === 'image' && !files.value[slot.role]);
      if (file && free) setFile(free.role, file);
    };
    addEventListener('paste', paste);
    return () => removeEventListener('paste', paste);
  }, []);

  const filled = slots.value.filter((slot) => files.value[slot.role]).length;
  const shown = all ? slots.value : slots.value.slice(0, Math.max(FIRST, filled + 1));
  const hidden = slots.value.length - shown.length;
  return (
    <div class="field">
      <div class="slots" role="group" aria-label="Files to begin with">
        {shown.map((slot) => (
          <DropSlot key={slot.role} slot={slot} />
        ))}
      </div>
      {hidden > 0 && (
        <button type="button" class="link tiny muted" onClick={() => setAll(true)}>
          {hidden} more places for files
        </button>
      )}
    </div>
  );
}

function DropSlot({ slot }: { slot: Slot }) {
  const file = files.value[slot.role];
  const [over, setOver] = useState(false);
  const url = useUrl(slot.kind === 'image' ? file : undefined);

  function take(chosen: File | undefined) {
    if (!chosen) return;
    if (chosen.type.startsWith(`${slot.kind}/`)) setFile(slot.role, chosen);
    else toast(`${slot.label}: this takes ${slot.kind === 'audio' ? 'a sound' : `a${slot.kind === 'image' ? ' picture' : ' video'}`}.`, 'error');
  }

  return (
    <div
      class={`slot ${over ? 'over' : ''} ${file ? 'filled' : ''}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        take(event.dataTransfer?.files[0]);
      }}
    >
      <label>
        <input
          type="file"
          class="sr"
          accept={ACCEPTS[slot.kind]}
          onChange={(event) => {
            take(event.currentTarget.files?.[0]);
            event.currentTarget.value = '';
          }}
        />
        {url ? <img src={url} alt="" /> : <Icon name={file ? 'check' : slot.kind} />}
        <span class="slot-text">
          <strong>{slot.label}</strong>
          <span class="tiny muted">{file ? 'Choose another' : slot.required ? 'Needed. Drop or choose' : 'Drop or choose'}</span>
        </span>
      </label>
      {file && (
        <button
          type="button"
          class="icon-button"
          aria-label={`Remove: ${slot.label}`}
          onClick={() => setFile(slot.role, null)}
        >
          <Icon name="close" />
        </button>
      )}
      {file && slot.role === START && paintsIn(model.value) && <MaskOf picture={file} />}
      {file && isKeyFrame(slot.role) && <Moment role={slot.role} label={slot.label} />}
    </div>
  );
}

/** Where in the picture to paint: the mask on it, and the way to the painter. */
function MaskOf({ picture }: { picture: Blob }) {
  const [painting, setPainting] = useState(false);
  const mask = steer.value?.name === INPAINT ? files.value[STEER] : undefined;
  const url = useUrl(mask);
  return (
    <div class="slot-more">
      {url && <img src={url} alt="The mask: white is painted anew" />}
      <button type="button" class="button" onClick={() => setPainting(true)}>
        <Icon name="brush" /> {mask ? 'Change the mask' : 'Paint only a part'}
      </button>
      {mask && (
        <button type="button" class="button plain" onClick={() => setMask(null)}>
          Whole picture
        </button>
      )}
      {painting && (
        <MaskPainter
          picture={picture}
          mask={mask}
          onDone={(painted) => {
            setMask(painted);
            setPainting(false);
          }}
          onClose={() => setPainting(false)}
        />
      )}
    </div>
  );
}

/** When a key frame is seen. */
function Moment({ role, label }: { role: string; label: string }) {
  const { moments } = draft.value;
  const last = Math.max(0, Number(valueOf('frames') ?? 1) - 1) / framesPerSecond();
  return (
    <div class="slot-more">
      <Slider
        label={`${label}: at second`}
        min={0}
        max={Math.round(last * 100) / 100}
        step={0.01}
        value={moments[role] ?? 0}
        onValue={(second) => edit({ moments: { ...moments, [role]: second } })}
      />
    </div>
  );
}

const STEERS: Record<string, string> = {
  canny: 'Edges',
  lineart: 'Line drawing',
  lineartanime: 'Line drawing, anime',
  mlsd: 'Straight lines',
  scribble: 'Scribble',
  softedge: 'Soft edges',
  depth: 'Depth',
  normalbae: 'Surfaces',
  openpose: 'Pose',
  pose: 'Pose',
  segmentation: 'Areas',
  shuffle: 'Colours',
  tile: 'Detail',
  detailer: 'Detail',
  instantid: 'A face',
  instrp2p: 'Instructions',
  inpaint: 'Inside a mask',
  outpaint: 'Beyond its edges'
};

/** What a model follows beside the words: the edges, the depth, the pose of a picture or a video. */
export function Steering() {
  const current = steer.value?.name === INPAINT && media.value === 'image' ? null : steer.value;
  return (
    <>
      <SelectField
        label="Steer by"
        value={current?.name ?? ''}
        options={[['', 'The words alone'], ...steers.value.map((name) => [name, STEERS[name] ?? name] as const)]}
        onValue={setSteer}
      />
      {current && media.value === 'image' && <DropSlot slot={steerSlot(current.name)} />}
      {current && (
        <Slider
          label="How strongly"
          min={0}
          max={1}
          step={0.05}
          value={current.strength}
          onValue={(strength) => edit({ steer: { ...current, strength } })}
        />
      )}
    </>
  );
}
