/** A chat endpoint on loopback that answers, or misbehaves, as a script says. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What the endpoint does with a request: answers with a text, or something worse. */
export type Act =
  | { say: string }
  | { status: number; body?: string; headers?: Record<string, string> }
  | { raw: string }
  | { hang: true }
  | { cut: string }
  | { reset: true };

export interface ChatRequest {
  path: string;
  authorization: string | undefined;
  body: { model: string; messages: { role: string; content: string }[]; [field: string]: unknown };
}

export interface FakeEndpoint {
  url: string;
  requests: ChatRequest[];
  /** Most requests that were open at a time. */
  busiest: number;
  close(): Promise<void>;
}

export const completion = (content: string | null) =>
  JSON.stringify({ choices: [{ index: 0, message: { role: "assistant", content } }] });

/** @param act decides by the request and its number, from 0. */
export async function fakeEndpoint(
  act: (request: ChatRequest, number: number) => Act | Promise<Act>,
): Promise<FakeEndpoint> {
  const requests: ChatRequest[] = [];
  let open = 0;
  const endpoint: FakeEndpoint = { url: "", requests, busiest: 0, close: async () => {} };
  const server = createServer(async (message, response) => {
    endpoint.busiest = Math.max(endpoint.busiest, ++open);
    response.on("close", () => open--);
    const request = await read(message);
    perform(await act(request, requests.push(request) - 1), response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  endpoint.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  endpoint.close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  };
  return endpoint;
}

async function read(message: IncomingMessage): Promise<ChatRequest> {
  let text = "";
  for await (const piece of message.setEncoding("utf8")) text += piece;
  return { path: message.url!, authorization: message.headers.authorization, body: JSON.parse(text) };
}

function perform(act: Act, response: ServerResponse): void {
  if ("say" in act) response.end(completion(act.say));
  else if ("status" in act) response.writeHead(act.status, act.headers).end(act.body);
  else if ("raw" in act) response.end(act.raw);
  else if ("reset" in act) response.destroy();
  else if ("cut" in act) {
    // Promises more than it sends.
    response.writeHead(200, { "content-length": String(act.cut.length + 100) });
    response.write(act.cut, () => response.destroy());
  }
}
