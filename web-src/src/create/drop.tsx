// Files to begin with: dropped, pasted or chosen.

import { useEffect, useMemo, useState } from 'preact/hooks';
import { toast } from '../state/toasts';
import { Icon } from '../ui/icon';
import { files, setFile, slots } from './draft';
import { ACCEPTS, type Slot } from './inputs';

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
  const url = useMemo(() => (file && slot.kind === 'image' ? URL.createObjectURL(file) : null), [file]);
  useEffect(() => () => (url ? URL.revokeObjectURL(url) : undefined), [url]);

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
    </div>
  );
}
