// Which page is shown: what stands behind the # of the address, so the server needs to know no pages.

import { computed, signal } from '@preact/signals';

const where = signal(location.hash);
addEventListener('hashchange', () => (where.value = location.hash));

/** `#/gallery/ID` is ['gallery', 'ID']. */
export const route = computed(() => where.value.replace(/^#\/?/, '').split('/').map(decodeURIComponent));

export const page = computed(() => route.value[0] || 'create');

export function go(...parts: string[]): void {
  location.hash = '/' + parts.map(encodeURIComponent).join('/');
}

/** Changes the address without a step in the history. */
export function replaceRoute(...parts: string[]): void {
  history.replaceState(null, '', '#/' + parts.map(encodeURIComponent).join('/'));
  where.value = location.hash;
}
