// Short notices. They are read out by screen readers and leave by themselves; errors stay longer.

import { signal } from '@preact/signals';
import { saying } from '../api/http';

export interface Toast {
  id: number;
  kind: 'info' | 'error';
  text: string;
}

export const toasts = signal<Toast[]>([]);
let last = 0;

export function toast(text: string, kind: Toast['kind'] = 'info'): void {
  const id = ++last;
  toasts.value = [...toasts.value.filter((one) => one.text !== text).slice(-2), { id, kind, text }];
  setTimeout(() => dismiss(id), kind === 'error' ? 9_000 : 4_000);
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

/** Does something that may be refused, and says so if it is. */
export async function tried<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    toast(saying(error), 'error');
    return undefined;
  }
}
