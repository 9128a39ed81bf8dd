// Drives a real browser for a test: commands come in as JSON lines on stdin, answers go out on
// stdout, in the words of driver.py. Serves the pages too, so that they come from another origin
// than the grid: http://localhost and http://127.0.0.1 are two sites to a browser.
//
//   node browser.mjs <path of chromium>
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
  '--disable-background-networking', '--disable-component-update'];

const bundle = await build({
  entryPoints: [new URL('page.js', import.meta.url).pathname],
  bundle: true, write: false, format: 'iife', platform: 'browser', logLevel: 'error'
});
const script = bundle.outputFiles[0].text;

const server = createServer((request, response) => {
  const isScript = request.url === '/page.js';
  response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html');
  response.end(isScript ? script : '<!doctype html><title>app</title><script src="/page.js"></script>');
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const browser = await chromium.launch({ executablePath: process.argv[2], args: FLAGS });
const context = await browser.newContext();
const pages = new Map(); // name -> page

function say(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

const commands = {
  port: async () => server.address().port,
  open: async ({ page, url }) => {
    const opened = await context.newPage();
    opened.on('pageerror', (error) => say({ event: 'pageerror', data: { page, message: error.message } }));
    await opened.goto(url);
    pages.set(page, opened);
  },
  call: async ({ page, name, args }) => pages.get(page).evaluate(([name, args]) => window.app[name](...args), [name, args]),
  cookies: async ({ url }) => context.cookies(url),
  readable: async ({ page }) => pages.get(page).evaluate(() => document.cookie)
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...args } = JSON.parse(line);
  commands[command](args).then(
    (value) => say({ id, ok: value ?? null }),
    (error) => say({ id, error: { message: error.message } })
  );
}
await browser.close();
process.exit(0);
