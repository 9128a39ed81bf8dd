// Drives one version of the published JavaScript SDK for a test: commands come in as JSON lines on
// stdin, answers and everything that the SDK emits go out as JSON lines on stdout. driver.py speaks
// the same words, so that one scenario serves every SDK.
//
//   node driver.mjs <package>
import { createInterface } from 'node:readline';

const loaded = await import(process.argv[2]);
const { SogniClient } = loaded.SogniClient ? loaded : loaded.default;
const OLDEST = process.argv[2].startsWith('sogni-3.');

const apps = new Map(); // name -> client
const projects = new Map(); // id -> Project

function say(line) {
  process.stdout.write(JSON.stringify(line, (_, value) => (typeof value === 'bigint' ? String(value) : value)) + '\n');
}

// An app without this handler would end here, as Node.js does by default; the test decides.
process.on('unhandledRejection', (error) => say({ event: 'unhandled', data: told(error) }));

function listen(app, client) {
  const forward = (source, event) => source.on(event, (data) => say({ app, event, data: data ?? null }));
  forward(client.apiClient, 'connected');
  forward(client.apiClient, 'disconnected');
  const recovered = ['activeProjectsRecovered', 'completedProjectsRecovered'];
  for (const event of ['availableModels', 'project', 'job', ...recovered]) forward(client.projects, event);
  forward(client.account.currentAccount, 'updated');
}

// Files travel to this process as {"$bytes": "<base64>"}, wherever they stand.
function revived(value) {
  if (Array.isArray(value)) return value.map(revived);
  if (value === null || typeof value !== 'object') return value;
  if ('$bytes' in value) return Buffer.from(value.$bytes, 'base64');
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, revived(one)]));
}

function paramsOf({ count, previews, ...rest }) {
  const params = { negativePrompt: '', stylePrompt: '', ...revived(rest) };
  if (previews !== undefined) params.numberOfPreviews = previews;
  return OLDEST ? { guidance: 1, ...params, numberOfImages: count } : { type: 'image', ...params, numberOfMedia: count };
}

function find(root, path) {
  const names = path.split('.');
  const last = names.pop();
  const owner = names.reduce((value, name) => value[name], root);
  return [owner, last];
}

const commands = {
  open: async ({ app, options }) => {
    const client = await SogniClient.createInstance({ logLevel: 'error', ...options });
    apps.set(app, client);
    listen(app, client);
  },
  call: async ({ app, path, args }) => {
    const [owner, name] = find(apps.get(app), path);
    return await owner[name](...args);
  },
  get: async ({ app, path }) => {
    const [owner, name] = find(apps.get(app), path);
    return owner[name];
  },
  create: async ({ app, params }) => {
    const project = await apps.get(app).projects.create(paramsOf(params));
    projects.set(project.id, project);
    return project.id;
  },
  wait: async ({ project }) => await projects.get(project).waitForCompletion(),
  cancel: async ({ project }) => await projects.get(project).cancel(),
  enhance: async ({ project, job, strength }) => await projects.get(project).job(job).enhance(strength),
  lastFrame: async ({ project, job }) => await projects.get(project).job(job).getLastFrameUrl?.(),
  snapshot: async ({ project }) => {
    const one = projects.get(project);
    const jobs = one.jobs.map((job) => {
      const { id, status, seed, resultUrl, previewUrl, error, workerName, type, isNSFW, nsfwDetected } = job;
      const { positivePrompt, negativePrompt } = job;
      return {
        id, status, seed, resultUrl, previewUrl, error, workerName, type, isNSFW, nsfwDetected, positivePrompt,
        negativePrompt
      };
    });
    return { id: one.id, status: one.status, progress: one.progress, error: one.error, jobs };
  }
};

function told(error) {
  if (!(error instanceof Error)) return { ...error };
  const { status, payload } = error;
  return { ...error, message: error.message, status, payload };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...args } = JSON.parse(line);
  commands[command](args).then(
    (value) => say({ id, ok: value ?? null }),
    (error) => say({ id, error: told(error) })
  );
}
process.exit(0);
