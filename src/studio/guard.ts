/**
 * The guard of the studio's server: which requests it takes. A page of any site can send requests to the loopback, and a
 * name that any site owns can be made to point there; so a request must name this server exactly, come from its own page,
 * and bring the cookie that a token from the terminal was exchanged for.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/** Answer to a request that is not taken. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 405 | 415;
  readonly error: string;
}

/** Request as the guard sees it. */
export interface Asked {
  readonly method: string;
  /** Path without its query. */
  readonly path: string;
  readonly token: string | null;
  readonly headers: IncomingHttpHeaders;
}

/** Headers of every answer: nothing is loaded from elsewhere, shown in a frame, or kept by caches. */
export const safeHeaders: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
};

/** Tokens and cookie of one server. */
export class Guard {
  private readonly tokens = new Set<string>();
  private readonly secret = secret();
  private readonly cookie: string;
  private readonly hosts: ReadonlySet<string>;

  constructor(port: number) {
    // Cookies know no ports: two studios must not overwrite each other's.
    this.cookie = `dualign-studio-${port}`;
    this.hosts = new Set([`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`]);
  }

  /** Token that opens the page once. */
  mint(): string {
    const token = secret();
    this.tokens.add(token);
    return token;
  }

  /** Refusal of a request; undefined where it is taken. A token is used up by being taken. */
  check({ method, path, token, headers }: Asked): { refusal?: Refusal; cookie?: string } {
    const { host, origin } = headers;
    if (host === undefined || !this.hosts.has(host))
      return refuse(403, "this address is not the studio's: open the one that dualign studio printed");
    if (origin !== undefined && origin !== `http://${host}`) return refuse(403, "another origin's request");
    if (method !== "GET" && method !== "POST") return refuse(405, "only GET and POST are answered");
    if (method === "GET" && path === "/" && token !== null && this.take(token))
      return { cookie: `${this.cookie}=${this.secret}; HttpOnly; SameSite=Strict; Path=/` };
    const site = headers["sec-fetch-site"];
    // A navigation by hand has no origin; everything else must come from the page itself.
    const own = site === undefined || site === "same-origin" || (site === "none" && method === "GET");
    if (!own) return refuse(403, "another site's request");
    if (!this.isKnown(headers.cookie))
      return refuse(401, "the studio opens by the link that its terminal shows, once: press Enter there for a new one");
    if (method === "POST") {
      if (origin === undefined) return refuse(403, "a request that changes something needs its origin");
      if (!/^application\/json\s*(;|$)/i.test(headers["content-type"] ?? ""))
        return refuse(415, "the body must be application/json");
    }
    return {};
  }

  private take(token: string): boolean {
    for (const known of this.tokens) if (equal(known, token)) return this.tokens.delete(known);
    return false;
  }

  private isKnown(cookies: string | undefined): boolean {
    return (cookies ?? "").split(";").some((one) => {
      const [name, value] = one.trim().split("=");
      return name === this.cookie && value !== undefined && equal(value, this.secret);
    });
  }
}

const refuse = (status: Refusal["status"], error: string): { refusal: Refusal } => ({ refusal: { status, error } });

const secret = () => randomBytes(24).toString("base64url");

function equal(a: string, b: string): boolean {
  const [x, y] = [Buffer.from(a), Buffer.from(b)];
  return x.length === y.length && timingSafeEqual(x, y);
}
