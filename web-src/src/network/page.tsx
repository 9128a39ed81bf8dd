// The grid as everybody may see it.

import { Models } from './models';
import { Waiting } from './waiting';

export default function NetworkPage() {
  return (
    <div class="page">
      <header class="page-head">
        <div>
          <h1>Network</h1>
          <p class="small muted">What of yours is on its way and why it waits, what this grid makes, and who offers it right now.</p>
        </div>
      </header>
      <Waiting />
      <div class="block">
        <Models />
      </div>
    </div>
  );
}
