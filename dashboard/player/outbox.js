// Answers on their way. They stay in this browser until the server says that they are saved, and are sent
// again after a reload, a crash or a lost connection. The server takes each key once.

const PATIENCE_MS = 15000;
const FIRST_WAIT_MS = 700;
const LONGEST_WAIT_MS = 8000;

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Post JSON; a Refused when the server says no, any other error when it could not be asked.
export async function post(url, body, signal) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
    signal: AbortSignal.any([AbortSignal.timeout(PATIENCE_MS), ...(signal ? [signal] : [])]),
  });
  if (response.status >= 500 || response.status === 429) throw new Error(`server answered ${response.status}`);
  const told = await response.json();
  if (!response.ok) throw new Refused(response.status, told.error || `refused (${response.status})`);
  return told;
}

// Do something until it works or is refused, more slowly each time; at once when the network is back.
export async function persist(action, signal, onwait = () => {}) {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(LONGEST_WAIT_MS, wait * 1.7)) {
    try {
      return await action();
    } catch (error) {
      if (error instanceof Refused || signal.aborted) throw error;
      onwait(error);
      await sleep(wait, signal);
    }
  }
}

// Wait; not longer than until the network is back, or the page is left.
export function sleep(duration, signal) {
  return new Promise((resolve) => {
    const over = new AbortController();
    const finish = () => {
      clearTimeout(timer);
      over.abort();
      resolve();
    };
    const timer = setTimeout(finish, duration);
    globalThis.addEventListener("online", finish, { signal: over.signal });
    signal.addEventListener("abort", finish, { signal: over.signal });
  });
}

export class Outbox {
  constructor(url, owner, signal) {
    this.url = url;
    this.place = `rating:outbox:${owner}`;
    this.signal = signal;
  }

  pending() {
    try {
      const list = JSON.parse(localStorage.getItem(this.place) ?? "[]");
      return Array.isArray(list) ? list : [];
    } catch {
      return [];
    }
  }

  keep(list) {
    if (list.length) localStorage.setItem(this.place, JSON.stringify(list));
    else localStorage.removeItem(this.place);
  }

  add(body) {
    this.keep([...this.pending(), body]);
  }

  drop(key) {
    this.keep(this.pending().filter((body) => body.client_key !== key));
  }

  // Send everything, oldest first. Returns what the server told of the last one.
  async drain(onwait) {
    let told = null;
    for (let [body] = this.pending(); body; [body] = this.pending()) {
      try {
        told = await persist(() => post(this.url, body, this.signal), this.signal, onwait);
      } catch (error) {
        if (error instanceof Refused) this.drop(body.client_key); // the server has decided; asking again is no use
        throw error;
      }
      this.drop(body.client_key);
    }
    return told;
  }
}
