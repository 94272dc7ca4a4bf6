/** What a process used of the machine's memory. */
import { readFileSync, writeFileSync } from "node:fs";

/**
 * Peak resident memory of this process since the last call, in bytes; since its start where the system (any but Linux)
 * cannot begin anew.
 */
export function peakMemory(): number {
  try {
    const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    writeFileSync("/proc/self/clear_refs", "5");
    if (kibibytes !== undefined) return Number(kibibytes) * 1024;
  } catch {
    // No such files: the peak of the whole process is the best that is known.
  }
  return process.resourceUsage().maxRSS * 1024;
}
