/** `dualign doctor`: what this machine can run, and whether a model, a server or an interpreter is fit for it. */
import type { Command } from "commander";
import { addRunFlags, report } from "./common.js";
import { addEndpointFlags, policyEndpoint } from "./endpointFlags.js";
import { exitStatuses } from "./exitStatus.js";
import type { Device } from "./jobOptions.js";
import type { CommandEvent } from "./progress.js";

interface Given {
  model?: string;
  endpoint?: string;
  tokenizer?: string;
  python?: string;
  rayAddress?: string;
  device: Device;
  json?: boolean;
  quiet?: boolean;
}

/** Command `dualign doctor`. */
export function addDoctorCommand(program: Command): void {
  const command = program
    .command("doctor")
    .description(
      "say what this machine can run, what is missing and how to get it, and whether a model, a server or an interpreter is fit; exit status 2 where something asked for is not",
    )
    .option("--model <dir>", "model folder or hub id whose memory is estimated; with --endpoint its name there")
    .option("--python <path>", "interpreter that is to train by --engine trl")
    .option("--ray-address <url>", "Ray's dashboard that is to take trainings");
  addRunFlags(addEndpointFlags(command)).action(async (given: Given) => {
    const { model, python, rayAddress: ray, device } = given;
    const server = policyEndpoint(command, given);
    const { runDoctor } = await import("./jobs/doctor.js");
    let fit = true;
    const watched = async function* (): AsyncGenerator<CommandEvent> {
      for await (const event of runDoctor({ device, ...(server ? { server } : { model }), python, ray })) {
        if (event.event === "doctor") ({ fit } = event);
        yield event;
      }
    };
    await report(watched(), given);
    if (!fit) process.exitCode = exitStatuses.mistake.status;
  });
}
