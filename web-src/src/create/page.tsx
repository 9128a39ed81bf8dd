// Create: what to make on the left, what is being made on the right.

import { Composer } from './composer';
import { Stream } from './stream';

export function CreatePage() {
  return (
    <div class="create">
      <Composer />
      <Stream />
    </div>
  );
}
