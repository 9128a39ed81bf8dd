// What a web app does, in cookie mode: it holds no token and no key. Bundled for browsers by
// browser.mjs together with the published SDK; the test calls these functions in the page.
import { SogniClient } from 'sogni-5.54.0';

let client;
const seen = [];

function until(source, event) {
  return new Promise((resolve) => source.once(event, resolve));
}

async function open(grid) {
  client = await SogniClient.createInstance({
    appId: crypto.randomUUID(),
    network: 'fast',
    authType: 'cookies',
    logLevel: 'error',
    restEndpoint: grid,
    socketEndpoint: grid.replace('http', 'ws')
  });
}

async function create(username, password) {
  const email = `${username}@example.com`;
  await client.account.create({ username, email, password, subscribe: false, turnstileToken: 'none' });
  return client.account.currentAccount;
}

async function enter(wallet) {
  const connected = until(client.apiClient, 'connected');
  await wallet();
  await connected;
  await client.projects.waitForModels();
  return client.account.currentAccount.username;
}

async function look(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image.naturalWidth;
}

window.app = {
  signUp: async (grid, username, password) => {
    await open(grid);
    return enter(() => create(username, password));
  },
  enroll: async (grid, username, password) => {
    await open(grid);
    return (await create(username, password)).username;
  },
  logIn: async (grid, username, password) => {
    await open(grid);
    return enter(() => client.account.login(username, password));
  },
  comeBack: async (grid) => {
    await open(grid);
    return await client.checkAuth();
  },
  make: async (prompt) => {
    const params = { type: 'image', modelId: 'pattern-v1', positivePrompt: prompt, negativePrompt: '', stylePrompt: '' };
    const project = await client.projects.create({ ...params, steps: 4, numberOfMedia: 1, numberOfPreviews: 1 });
    const preview = new Promise((resolve) => project.on('updated', () => {
      const url = project.jobs[0]?.previewUrl;
      if (url) resolve(url);
    }));
    seen.push({ preview, urls: project.waitForCompletion() });
    return project.id;
  },
  preview: async () => look(await seen.at(-1).preview),
  result: async () => look((await seen.at(-1).urls)[0]),
  logOut: async () => {
    await client.account.logout();
    return client.account.currentAccount.isAuthenicated;
  },
  // What any page can try without the SDK, with whatever cookie the browser has.
  fetch: async (url, options) => {
    const answer = await fetch(url, { credentials: 'include', ...options });
    return { status: answer.status, body: await answer.json() };
  },
  dial: (url) => new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onmessage = () => { resolve('greeted'); socket.close(); };
    socket.onclose = ({ code }) => resolve(code);
  })
};
