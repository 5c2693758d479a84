// One server-sent event stream per page, opened for what the page shows. The browser resumes with Last-Event-ID by
// itself after a broken connection; we only step in when it gives up (an HTTP error closes an EventSource for good).

import { onScopeDispose, ref, type Ref } from 'vue';
import { api } from './client';
import type { StreamEvents } from './types';

export type StreamState = 'connecting' | 'live' | 'waiting';
type Handlers = { [K in keyof StreamEvents]?: (data: StreamEvents[K]) => void };

const retry_first_ms = 1_000;
const retry_most_ms = 15_000;

/** The state of the newest stream, shown in the header. */
export const streamState: Ref<StreamState> = ref('connecting');

export interface StreamOptions {
  device?: string;
  /** Called when the hub had to drop events for us, or after our own reconnect: what we show may be stale. */
  onGap: () => void;
  handlers: Handlers;
}

export class EventStream {
  private source: EventSource | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private wait = retry_first_ms;
  private opened = false;

  constructor(private readonly options: StreamOptions) {
    this.open();
  }

  close(): void {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = undefined;
  }

  private open(): void {
    // `dropped` is no type to ask for: it tells of events that this reader was too slow for.
    const types = Object.keys(this.options.handlers).filter((type) => type !== 'dropped').join(',');
    const query = new URLSearchParams({ types });
    if (this.options.device) query.set('device', this.options.device);
    const source = new EventSource(`/api/v1/events?${query.toString()}`);
    this.source = source;
    streamState.value = 'connecting';
    source.onopen = () => {
      streamState.value = 'live';
      this.wait = retry_first_ms;
      if (this.opened && source !== this.first) this.options.onGap();
      this.first ??= source;
      this.opened = true;
    };
    source.onerror = () => {
      streamState.value = 'waiting';
      if (source.readyState === EventSource.CLOSED) this.retry();
    };
    for (const [type, handler] of Object.entries(this.options.handlers) as [keyof StreamEvents, (data: unknown) => void][]) {
      source.addEventListener(type, (event) => {
        const data = parse((event as MessageEvent<string>).data);
        if (data !== undefined) handler(data);
      });
    }
    source.addEventListener('dropped', () => this.options.onGap());
  }

  private first: EventSource | undefined;

  private retry(): void {
    this.source?.close();
    this.timer = setTimeout(() => {
      // A request shows whether the session is over (it then leads to signing in) or the hub is just away.
      api.whoAmI().then(() => this.open(), () => this.retry());
    }, this.wait);
    this.wait = Math.min(this.wait * 2, retry_most_ms);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // one broken event must not end the stream
  }
}

/** A stream that ends with the component that opened it. */
export function useStream(options: StreamOptions): void {
  const stream = new EventStream(options);
  onScopeDispose(() => stream.close());
}

/** Collects calls and runs `apply` at most once per animation frame: a thousand values a second cost sixty renders. */
export function perFrame(apply: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      apply();
    });
  };
}
