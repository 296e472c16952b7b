// The server's methods: requests, the token, and event streams that come back by themselves.

import { askToken } from "/dom.js";

class ApiError extends Error {
  constructor(code, status, message, details) {
    super(message);
    Object.assign(this, { code, status, details });
  }

  /** What is wrong with the fields of a request: `{field, description, line?, column?}`. */
  get violations() {
    return (this.details ?? []).flatMap((detail) => detail.fieldViolations ?? []);
  }
}

const TOKEN = "hptune-token";
let asking = null;

/** Asks for the token once, however many requests wait for it. */
function newToken(refused) {
  asking ??= askToken(refused !== null).then((token) => {
    if (token) sessionStorage.setItem(TOKEN, token);
    asking = null;
    return token;
  });
  return asking;
}

async function request(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const headers = { ...options.headers };
    if (token) headers.Authorization = `Bearer ${token}`;
    let response;
    try {
      response = await fetch(`/api/v1${path}`, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, "UNAVAILABLE", "the server does not answer");
    }
    if (response.ok) return response;
    if (response.status === 401 && (sessionStorage.getItem(TOKEN) !== token || (await newToken(token)))) continue;
    const body = await response.json().catch(() => null);
    const error = body?.error ?? {};
    throw new ApiError(response.status, error.status ?? "", error.message ?? `the server answered ${response.status}`, error.details);
  }
}

const query = (parameters) => {
  const text = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null)).toString();
  return text ? `?${text}` : "";
};

export const get = async (path, parameters = {}, signal = undefined) => (await request(path + query(parameters), { signal })).json();

export async function post(path, body = {}) {
  const headers = { "Content-Type": "application/json", "Hptune-Request": "1" };
  return (await request(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

export const jobPath = (jobId) => `/jobs/${encodeURIComponent(jobId)}`;
export const trialPath = (jobId, trialId) => `${jobPath(jobId)}/trials/${encodeURIComponent(trialId)}`;

/** A piece of a log: its text and where it lies in the file. */
export async function logPiece(path, parameters, signal) {
  const response = await request(path + query(parameters), { signal });
  const raw = await response.arrayBuffer();
  const asked = Number(parameters.offset ?? 0);
  const next = Number(response.headers.get("Hptune-Next-Offset") ?? asked + raw.byteLength);
  const from = Number(response.headers.get("Hptune-Offset") ?? next - raw.byteLength);
  return { text: new TextDecoder().decode(raw), from, next };
}

/** Follows an event stream. `on` has a function an event, and `opened` and `broken` for the connection. A stream that
    breaks is opened again where it was, with growing pauses, until `close` is called or an event's function returns false.
    A tab that is not seen has none: a browser opens six connections to a server, for all its tabs together. */
export function follow(path, on) {
  let isClosed = false,
    connection = null,
    lastId = null,
    pause = 500;
  const seen = () => {
    if (document.hidden) connection?.abort();
  };
  document.addEventListener("visibilitychange", seen);
  const close = () => {
    isClosed = true;
    connection?.abort();
    document.removeEventListener("visibilitychange", seen);
  };
  const run = async () => {
    while (!isClosed) {
      while (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
      if (isClosed) return;
      connection = new AbortController();
      try {
        const headers = { Accept: "text/event-stream" };
        if (lastId !== null) headers["Last-Event-ID"] = lastId;
        const response = await request(typeof path === "function" ? path() : path, { headers, signal: connection.signal });
        on.opened?.();
        pause = 500;
        for await (const event of eventsOf(response.body)) {
          if (event.id !== null) lastId = event.id;
          if (on[event.name]?.(JSON.parse(event.data)) === false) {
            close();
            return;
          }
        }
      } catch (error) {
        if (isClosed) return;
        if (connection.signal.aborted) continue;
        if (error.code >= 400 && error.code < 500 && ![408, 429].includes(error.code)) {
          close();
          on.refused?.(error);
          return;
        }
      }
      on.broken?.();
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(10000, pause * 2);
    }
  };
  run();
  return { close };
}

async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "",
    name = "message",
    data = [],
    id = null;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (let line of lines) {
      if (line.endsWith("\r")) line = line.slice(0, -1);
      if (line === "") {
        if (data.length > 0) yield { name, data: data.join("\n"), id };
        name = "message";
        data = [];
        continue;
      }
      const colon = line.indexOf(":");
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const text = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") name = text;
      else if (field === "data") data.push(text);
      else if (field === "id") id = text;
    }
  }
}
