// Asks the service.

const KEY = "graphmeta.key";
let key = "";
try {
  key = sessionStorage.getItem(KEY) ?? "";
} catch {
  // A browser that stores nothing still works, until the page is closed.
}

export class Problem extends Error {
  constructor(status, title, detail, wait = null) {
    super(detail);
    Object.assign(this, { status, title, detail, wait });
  }
}

export const hasKey = () => key !== "";

export function setKey(given) {
  key = given;
  try {
    sessionStorage.setItem(KEY, key);
  } catch {
    // As above.
  }
}

export async function ask(path, { body, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  const options = { headers, signal, method: body ? "POST" : "GET" };
  let answer;
  try {
    answer = await fetch(path, { ...options, body: body && JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The service cannot be reached", "Is the connection up?");
  }
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => ({}));
  const wait = Number.parseInt(answer.headers.get("Retry-After"), 10);
  throw new Problem(
    answer.status,
    told.title ?? `The service answered ${answer.status}`,
    told.detail ?? "",
    Number.isFinite(wait) ? wait : null,
  );
}

// Signals of which the newest alone holds: an answer that comes late is dropped.
export function turns() {
  let last;
  return () => {
    last?.abort();
    last = new AbortController();
    return last.signal;
  };
}
