// Light or dark: as the system says, until somebody chooses.

import { computed, effect, signal } from '@preact/signals';

type Theme = 'system' | 'light' | 'dark';
const system = matchMedia('(prefers-color-scheme: light)');
const systemIsLight = signal(system.matches);
system.addEventListener('change', () => (systemIsLight.value = system.matches));

const chosen = signal<Theme>((localStorage.getItem('theme') as Theme | null) ?? 'system');
export const isLight = computed(() => (chosen.value === 'system' ? systemIsLight.value : chosen.value === 'light'));

effect(() => {
  if (chosen.value === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = chosen.value;
});

export function toggleTheme(): void {
  chosen.value = isLight.value ? 'dark' : 'light';
  localStorage.setItem('theme', chosen.value);
}
