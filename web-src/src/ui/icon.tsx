// The studio's own icons: 24 by 24, one stroke.

const PATHS = {
  create: 'M12 3v4M12 17v4M3 12h4M17 12h4M6 6l2.5 2.5M15.5 15.5 18 18M6 18l2.5-2.5M15.5 8.5 18 6',
  gallery: 'M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z',
  network: 'M12 5v5M12 10 6 17M12 10l6 7M10 4a2 2 0 1 0 4 0 2 2 0 0 0-4 0M4 19a2 2 0 1 0 4 0 2 2 0 0 0-4 0M16 19a2 2 0 1 0 4 0 2 2 0 0 0-4 0',
  account: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4.5 20a7.5 7.5 0 0 1 15 0',
  operator: 'M5 7h8M17 7h2M5 17h2M11 17h8M15 5v4M9 15v4',
  image: 'M4 5h16v14H4zM4 16l4.5-4.5 4 4 2.5-2.5 5 5M15.5 9.5h.01',
  video: 'M4 6h11v12H4zM15 10.5l5-3v9l-5-3',
  audio: 'M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0M19 16a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0',
  close: 'M6 6l12 12M18 6 6 18',
  check: 'M5 12.5 10 17l9-10',
  chevron: 'M7 10l5 5 5-5',
  left: 'M14 6l-6 6 6 6',
  right: 'M10 6l6 6-6 6',
  more: 'M5 12h1M11.5 12h1M18 12h1',
  again: 'M4 12a8 8 0 1 1 2.4 5.7M4 18v-5h5',
  download: 'M12 4v11M7.5 11 12 15.5 16.5 11M5 20h14',
  copy: 'M9 9h10v10H9zM5 15V5h10',
  code: 'M9 8l-4 4 4 4M15 8l4 4-4 4',
  terminal: 'M5 7l5 5-5 5M12 17h7',
  vary: 'M4 7h4l8 10h4M4 17h4l2.5-3M13.5 10 16 7h4M18 5l2 2-2 2M18 15l2 2-2 2',
  input: 'M4 5h9M4 5v14h14v-7M10 14l10-10M14 4h6v6',
  dice: 'M5 5h14v14H5zM9 9h.01M15 15h.01M15 9h.01M9 15h.01M12 12h.01',
  lock: 'M6 11h12v9H6zM9 11V8a3 3 0 0 1 6 0v3',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14M16 16l4.5 4.5',
  warn: 'M12 4 2.8 19.5h18.4zM12 10v4M12 17h.01',
  info: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M12 11v5M12 8h.01',
  play: 'M8 5l11 7-11 7z',
  pause: 'M8 5v14M16 5v14',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8M12 3v1M12 20v1M3 12h1M20 12h1M5.6 5.6l.7.7M17.7 17.7l.7.7M5.6 18.4l.7-.7M17.7 6.3l.7-.7',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5',
  leave: 'M10 5H5v14h5M14 8l4 4-4 4M18 12H9',
  key: 'M14 10a4 4 0 1 0-4 4M12.8 12.8 20 20M17 17l2-2',
  trash: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13',
  compare: 'M12 4v16M4 6h6v12H4zM14 6h6v12h-6z',
  sliders: 'M4 8h9M17 8h3M4 16h3M11 16h9M15 6v4M9 14v4',
  swap: 'M7 7h12l-3-3M17 17H5l3 3',
  brush: 'M19.5 4.5 11 13M8.5 13.5a3 3 0 0 1 2.5 3c0 2.5-2 3.5-6.5 3.5 1.5-1 1-2 1.2-3.7a3 3 0 0 1 2.8-2.8M19.5 4.5 15 12l-2.5 1.5L11 13',
  undo: 'M8 5 4 9l4 4M4 9h10a5.5 5.5 0 0 1 0 11h-4',
  eraser: 'M4 15 14 5l6 6-8.5 8.5H8zM9 10l6 6M12 19.5h8',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  question: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M9.5 9.5a2.5 2.5 0 1 1 3.6 2.3c-.7.4-1.1.9-1.1 1.7M12 16.5h.01'
};

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.75"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
