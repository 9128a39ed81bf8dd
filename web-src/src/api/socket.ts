// The app socket: `{"type", "data"}` with base64 JSON inside. Reconnects by itself; whatever was said
// while it was away is told again by the server when it comes back.

type Listener = (type: string, data: unknown) => void;

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const REPLACED = 4015;
const SIGNED_OUT = 4021;
const BLOCKED = 4010;
const NOT_ALLOWED = 4403;

function encode(data: unknown): string {
  const bytes = new TextEncoder().encode(JSON.stringify(data));
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}

export function decode(data: string): unknown {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** The name that this tab has on the grid: the same after a reload, another one in every tab. */
function appId(fresh = false): string {
  const kept = fresh ? null : sessionStorage.getItem('appId');
  const id = kept ?? `studio-${uuid()}`;
  sessionStorage.setItem('appId', id);
  return id;
}

/** `crypto.randomUUID` is missing on plain http pages of other machines. */
export function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('').toUpperCase();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

export class GridSocket {
  id = appId();
  private socket: WebSocket | null = null;
  private waitMs = FIRST_WAIT_MS;
  private timer = 0;
  private wanted = false;
  private waiting: string[] = [];
  private greeted = false;

  constructor(
    private readonly listener: Listener,
    private readonly onState: (connected: boolean) => void,
    private readonly onSignedOut: (why: string) => void
  ) {
    addEventListener('online', () => this.hurry());
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.hurry();
    });
  }

  open(): void {
    this.wanted = true;
    if (this.socket) return;
    const events = encodeURIComponent(JSON.stringify({ projectQueue: true }));
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const url = `${scheme}://${location.host}/socket?appId=${this.id}&socketEventSubscriptions=${events}`;
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = (message: MessageEvent<ArrayBuffer>) => this.hear(message.data);
    socket.onclose = (closed) => this.lost(closed.code, closed.reason);
    this.socket = socket;
  }

  close(): void {
    this.wanted = false;
    clearTimeout(this.timer);
    this.waiting = [];
    this.socket?.close(1000);
  }

  /** Sends now, or as soon as there is a connection. */
  send(type: string, data: unknown): void {
    const frame = JSON.stringify({ type, data: encode(data) });
    if (this.greeted && this.socket) this.socket.send(frame);
    else this.waiting.push(frame);
  }

  private hear(frame: ArrayBuffer): void {
    const envelope = JSON.parse(new TextDecoder().decode(frame)) as { type: string; data: string };
    if (envelope.type === 'authenticated') {
      this.greeted = true;
      this.waitMs = FIRST_WAIT_MS;
      this.onState(true);
      for (const waiting of this.waiting.splice(0)) this.socket?.send(waiting);
    }
    this.listener(envelope.type, decode(envelope.data));
  }

  private lost(code: number, why: string): void {
    this.socket = null;
    this.greeted = false;
    this.onState(false);
    if (!this.wanted) return;
    if (code === SIGNED_OUT || code === BLOCKED || code === NOT_ALLOWED) {
      this.wanted = false;
      this.onSignedOut(code === SIGNED_OUT ? '' : why);
      return;
    }
    // Another tab has this name, which it got by being duplicated: it keeps it.
    if (code === REPLACED) this.id = appId(true);
    this.timer = window.setTimeout(() => this.open(), code === REPLACED ? 0 : this.waitMs);
    this.waitMs = Math.min(LONGEST_WAIT_MS, this.waitMs * 2 * (0.8 + 0.4 * Math.random()));
  }

  private hurry(): void {
    if (!this.wanted || this.socket) return;
    clearTimeout(this.timer);
    this.open();
  }
}
