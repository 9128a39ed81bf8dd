// A table that scrolls sideways where the page is narrower, by the keyboard too.

import type { ComponentChildren } from 'preact';

interface Props {
  /** What the table shows, for those who do not see it. */
  label: string;
  /** Their headings; a column of numbers is `{ number: heading }`. */
  columns: readonly (string | { number: string })[];
  /** Whether a last column without a visible heading holds what can be done. */
  actions?: boolean;
  class?: string;
  /** The rows. */
  children: ComponentChildren;
}

export function Table({ label, columns, actions = false, class: name = '', children }: Props) {
  return (
    <div class={`table-wrap ${name}`} tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map((column) =>
              typeof column === 'string' ? (
                <th key={column}>{column}</th>
              ) : (
                <th key={column.number} class="end">
                  {column.number}
                </th>
              )
            )}
            {actions && (
              <th>
                <span class="sr">Actions</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
