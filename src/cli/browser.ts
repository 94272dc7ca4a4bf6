/** Opening a page in the user's browser, where there is one. */
import { spawn } from "node:child_process";

/** Opens a link as the platform does, or by `BROWSER`; false where there is no browser, or it does not start. */
export async function openBrowser(link: string): Promise<boolean> {
  const { BROWSER } = process.env;
  const [command, ...args] = BROWSER
    ? [BROWSER, link]
    : process.platform === "darwin"
      ? ["open", link]
      : process.platform === "win32"
        ? ["rundll32", "url.dll,FileProtocolHandler", link]
        : ["xdg-open", link];
  const child = spawn(command!, args, { stdio: "ignore", detached: true });
  const started = await new Promise<boolean>((resolve) => {
    child.once("spawn", () => resolve(true));
    child.once("error", () => resolve(false));
  });
  child.unref();
  return started;
}
