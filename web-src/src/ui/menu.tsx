// A button that opens a short list of things to do.

import { useId, useRef } from 'preact/hooks';
import { Icon, type IconName } from './icon';

export interface Action {
  label: string;
  icon: IconName;
  run: () => unknown;
  danger?: boolean;
}

interface Props {
  label: string;
  actions: Action[];
}

export function Menu({ label, actions }: Props) {
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);

  function place() {
    const box = button.current!.getBoundingClientRect();
    const menu = list.current!;
    const below = box.bottom + 6 + menu.offsetHeight < innerHeight;
    menu.style.top = `${below ? box.bottom + 6 : box.top - menu.offsetHeight - 6}px`;
    menu.style.left = `${Math.max(8, Math.min(box.right - menu.offsetWidth, innerWidth - menu.offsetWidth - 8))}px`;
  }

  function move(event: KeyboardEvent) {
    const items = [...list.current!.querySelectorAll('button')];
    const at = items.indexOf(document.activeElement as HTMLButtonElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    items[(next + items.length) % items.length]!.focus();
  }

  return (
    <>
      <button ref={button} type="button" class="icon-button" aria-label={label} aria-haspopup="menu" popovertarget={id}>
        <Icon name="more" />
      </button>
      <div
        ref={list}
        id={id}
        popover="auto"
        role="menu"
        aria-label={label}
        class="menu"
        onKeyDown={move}
        onToggle={(event) => {
          if (event.newState !== 'open') return;
          place();
          list.current!.querySelector('button')?.focus();
        }}
      >
        {actions.map((action) => (
          <button
            key={action.label}
            type="button"
            role="menuitem"
            class={action.danger ? 'danger' : ''}
            onClick={() => {
              list.current!.hidePopover();
              action.run();
            }}
          >
            <Icon name={action.icon} />
            {action.label}
          </button>
        ))}
      </div>
    </>
  );
}
