// What prompts can say, where somebody is about to say it.

import { useState } from 'preact/hooks';
import { Dialog } from '../ui/dialog';
import { Icon } from '../ui/icon';

const EXAMPLES: [written: string, means: string][] = [
  ['a {red|blue} {cat|dog}', 'Every combination in turn: red cat, red dog, blue cat, blue dog'],
  ['{~Rome|Oslo} in {~May|June}', 'All move on together: Rome in May, Oslo in June'],
  ['{@oak|elm}', 'One at random for each'],
  ['{@75::oak|25::elm}', 'The same with weights'],
  ['--workers=ada,attic', 'Only these workers'],
  ['--skip-workers=basement', 'Never this one']
];

export function PromptHelp() {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" class="link tiny muted" onClick={() => setOpen(true)}>
        <Icon name="question" /> Variations
      </button>
      {isOpen && (
        <Dialog title="What prompts can say" onClose={() => setOpen(false)}>
          <p class="small muted">Braces give every result words of its own.</p>
          <dl class="examples">
            {EXAMPLES.map(([written, means]) => (
              <div key={written}>
                <dt>
                  <code>{written}</code>
                </dt>
                <dd>{means}</dd>
              </div>
            ))}
          </dl>
        </Dialog>
      )}
    </>
  );
}
