import './styles/tokens.css';
import './styles/base.css';
import './styles/shell.css';
import './styles/create.css';
import './styles/viewer.css';
import './styles/pages.css';
import { render } from 'preact';
import { App } from './app';
import { start } from './state/session';
import './state/theme';

render(<App />, document.getElementById('studio')!);
void start();
