// Pages, and large parts of pages, that are loaded when somebody goes there.

import type { ComponentType, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { tried } from '../state/toasts';
import { Icon } from './icon';

const LOADERS: Record<string, () => Promise<ComponentType>> = {
  gallery: async () => (await import('../gallery/page')).default,
  models: async () => (await import('../network/page')).default,
  account: async () => (await import('../account/page')).default,
  operator: async () => (await import('../operator/page')).default
};

export function Lazy({ name }: { name: string }) {
  const [loaded, setLoaded] = useState<{ name: string; Page: ComponentType } | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let current = true;
    setFailed(false);
    LOADERS[name]?.().then(
      (Page) => current && setLoaded({ name, Page }),
      () => current && setFailed(true)
    );
    return () => {
      current = false;
    };
  }, [name]);
  if (failed) {
    return (
      <div class="empty">
        <Icon name="warn" />
        <h2>This page could not be loaded</h2>
        <p>The server may have been updated meanwhile.</p>
        <button type="button" class="button" onClick={() => location.reload()}>
          Load the studio again
        </button>
      </div>
    );
  }
  if (loaded?.name !== name) return <div class="page" aria-busy="true" />;
  return <loaded.Page />;
}

/** A part of a page; until it is there, nothing of it is shown. */
function later<P extends object>(load: () => Promise<ComponentType<P>>): (properties: P) => JSX.Element | null {
  return function Later(properties) {
    const [Part, setPart] = useState<ComponentType<P> | null>(null);
    useEffect(() => void tried(load).then((found) => found && setPart(() => found)), []);
    return Part && <Part {...properties} />;
  };
}

export const MaskPainter = later(async () => (await import('../create/mask')).default);
export const Compare = later(async () => (await import('../gallery/compare')).default);
