// The grid as everybody may see it.

import { Models } from './models';

export default function NetworkPage() {
  return (
    <div class="page">
      <header class="page-head">
        <div>
          <h1>Models</h1>
          <p class="small muted">What this grid makes, and how many workers offer each right now.</p>
        </div>
      </header>
      <Models />
    </div>
  );
}
