import { execFileSync } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { type ClientOptions, openClient } from "../../src/providers/endpoint/client.js";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
async function serve(handler: Handler, tls?: { key: string; cert: string }): Promise<number> {
  const server = tls ? https.createServer(tls, handler) : createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
function clientOf(endpoint: string, options: Partial<ClientOptions> = {}) {
  const client = openClient({ name: "sampler", endpoint, timeout: 5, retries: 2, backoff: 0.001, ...options });
  closing.push(() => client.close());
  return client;
}
const post = (client: ReturnType<typeof clientOf>) => client.post("completions", {}, (answer) => answer);

test("a query of the base goes along and is not printed; a path with a slash is the root's", async () => {
  const paths: string[] = [];
  const port = await serve((request, response) => {
    paths.push(request.url!);
    response.writeHead(paths.length < 3 ? 200 : 404).end('{"detail":"not here"}');
  });
  const client = clientOf(`http://127.0.0.1:${port}/team/v1/?api-version=7&code=secret`);
  await post(client);
  await client.post("/classify", {}, () => undefined);
  const error = await post(client).catch(String);
  expect(paths.slice(0, 2)).toEqual([
    "/team/v1/completions?api-version=7&code=secret",
    "/team/classify?api-version=7&code=secret",
  ]);
  expect(error).toContain("HTTP 404 (not here)");
  expect(error).not.toContain("secret");
});

test.each([301, 307, 308])("a redirect (%i) is refused: the token goes to no other host", async (status) => {
  let reached = 0;
  const other = await serve((_, response) => {
    reached++;
    response.end("{}");
  });
  const port = await serve((_, response) =>
    response.writeHead(status, { location: `http://127.0.0.1:${other}/v1/completions` }).end(),
  );
  await expect(post(clientOf(`http://127.0.0.1:${port}/v1`, { key: "secret" }))).rejects.toThrow(
    `redirects to http://127.0.0.1:${other}`,
  );
  expect(reached).toBe(0);
});

test("the token is in no error, and a password in the URL is refused", async () => {
  const port = await serve((_, response) => response.writeHead(401).end('{"error":{"message":"no"}}'));
  const error = await post(clientOf(`http://127.0.0.1:${port}/v1`, { key: "s3cret" })).catch(String);
  expect(error).toMatch(/HTTP 401 \(no\): check the token/);
  expect(error).not.toContain("s3cret");
  expect(() => clientOf("http://me:s3cret@127.0.0.1/v1")).toThrow(/password/);
  expect(() => clientOf("gpu1:8000")).toThrow(/must be a URL/);
});

test("a certificate that does not hold is an error at once", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "dualign-tls-"));
  closing.push(() => rmSync(folder, { recursive: true, force: true }));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-days", "1", "-keyout", key, "-out", cert];
  try {
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...subject], { stdio: "ignore" });
  } catch {
    context.skip("openssl is not here to make a certificate");
  }
  let reached = 0;
  const port = await serve(
    (_, response) => {
      reached++;
      response.end("{}");
    },
    { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") },
  );
  await expect(post(clientOf(`https://127.0.0.1:${port}/v1`, { key: "secret" }))).rejects.toThrow(/certificate/);
  expect(reached).toBe(0);
});

test("what is not wanted any more is aborted at the server", async () => {
  const seen = new EventEmitter();
  const [begun, gone] = [once(seen, "begun"), once(seen, "gone")];
  const port = await serve((request) => {
    seen.emit("begun");
    request.on("close", () => seen.emit("gone"));
  });
  const client = clientOf(`http://127.0.0.1:${port}/v1`);
  const asked = expect(post(client)).rejects.toThrow();
  await begun;
  client.close();
  await asked;
  await gone;
});

test("a request on a kept connection that the server resets is sent again on a new one, and counts as no failure", async () => {
  const seen = new Set<object>();
  let resets = 0;
  const port = await serve(({ socket }, response) => {
    if (seen.has(socket)) {
      resets++;
      return void socket.resetAndDestroy();
    }
    seen.add(socket);
    response.end("{}");
  });
  const client = clientOf(`http://127.0.0.1:${port}/v1`, { retries: 0 });
  await post(client);
  await post(client);
  expect([seen.size, resets]).toEqual([2, 1]);
});
