// A question before something that cannot be undone, or that others will want to know the reason of.

import { signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { Dialog } from './dialog';
import { TextField } from './fields';

export interface Question {
  title: string;
  /** What will happen. */
  text?: string;
  button: string;
  danger?: boolean;
  field?: { label: string; hint?: string; type?: 'text' | 'number'; required?: boolean };
}

const asked = signal<{ question: Question; answer: (text: string | null) => void } | null>(null);

/** What was typed, '' where there is nothing to type; null: rather not. */
export function ask(question: Question): Promise<string | null> {
  return new Promise((answer) => {
    asked.value?.answer(null);
    asked.value = { question, answer };
  });
}

/** The question that is open, if there is one. */
export function Asking() {
  const open = asked.value;
  if (!open) return null;
  const settle = (text: string | null) => {
    asked.value = null;
    open.answer(text);
  };
  return <Asked key={open.question.title} question={open.question} settle={settle} />;
}

function Asked({ question, settle }: { question: Question; settle: (text: string | null) => void }) {
  const { title, text, button, danger, field } = question;
  const [value, setValue] = useState('');
  return (
    <Dialog title={title} class="sheet question" onClose={() => settle(null)}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          settle(value.trim());
        }}
      >
        {text && <p class="small muted">{text}</p>}
        {field && <TextField {...field} value={value} onValue={setValue} />}
        <div class="row end-of-row">
          <button type="button" class="button plain" onClick={() => settle(null)}>
            Rather not
          </button>
          <button class={danger ? 'button danger' : 'button primary'}>{button}</button>
        </div>
      </form>
    </Dialog>
  );
}
