// The button under a table of which the server gave a part.

import type { ComponentChildren } from 'preact';
import { look, pages } from './state';

const MORE = 100;
const MOST = 500;

export function More({ of, children }: { of: keyof typeof pages.value; children: ComponentChildren }) {
  const more = () => {
    pages.value = { ...pages.value, [of]: Math.min(MOST, pages.value[of] + MORE) };
    void look();
  };
  return (
    <button type="button" class="button older" onClick={more}>
      {children}
    </button>
  );
}
