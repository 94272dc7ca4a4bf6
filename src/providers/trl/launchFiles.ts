/** Files of a job folder for those who launch it: README.md, accelerate's configurations and a Slurm script. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TrlDistribution } from "../../recipe/kinds/trl.js";

const common = (workers: number): string => `compute_environment: LOCAL_MACHINE
machine_rank: 0
main_training_function: main
mixed_precision: "no"
num_machines: 1
num_processes: ${workers}
rdzv_backend: static
same_network: true
use_cpu: false
`;

const deepspeed = (stage: 2 | 3): string => `distributed_type: DEEPSPEED
deepspeed_config:
  gradient_accumulation_steps: auto
  gradient_clipping: auto
  offload_optimizer_device: none
  offload_param_device: none
  zero3_init_flag: ${stage === 3}
  zero3_save_16bit_model: ${stage === 3}
  zero_stage: ${stage}
`;

/** Parts of accelerate's configurations by distribution. None of FSDP and DeepSpeed could be run on a GPU by us. */
const distributions: Readonly<Record<TrlDistribution, string>> = {
  ddp: `distributed_type: MULTI_GPU
`,
  fsdp: `distributed_type: FSDP
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_cpu_ram_efficient_loading: true
  fsdp_offload_params: false
  fsdp_reshard_after_forward: true
  fsdp_state_dict_type: FULL_STATE_DICT
`,
  deepspeed_zero2: deepspeed(2),
  deepspeed_zero3: deepspeed(3),
};

/** Script for Slurm: a task a node, torchrun's workers in it. */
const slurmScript = (workers: number): string => `#!/bin/bash
#SBATCH --job-name=dualign-dpo
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=${workers}
#SBATCH --requeue
# From the job folder: sbatch job.slurm. Set partition, time and the environment with TRL as your cluster wants them.
# --resume: a job that was put back into the queue goes on from its last checkpoint.
set -euo pipefail
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node "\${SLURM_GPUS_ON_NODE:-${workers}}" \\
  --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d --rdzv-endpoint "$head:29500" dualign_trl.py . --resume
`;

const readme = (steps: number, workers: number): string => `# A training by TRL

${steps} steps of DPO, written by dualign. \`dualign_trl.py\` names the versions that it was tried with. Any of:

    uv run --script dualign_trl.py .
    python dualign_trl.py .
    torchrun --standalone --nproc-per-node ${workers} dualign_trl.py .
    accelerate launch --config_file accelerate/fsdp.yaml dualign_trl.py .
    accelerate launch --config_file accelerate/deepspeed_zero3.yaml dualign_trl.py .
    sbatch job.slurm

\`--resume\` goes on from the last checkpoint, \`--output DIR\` puts checkpoints and result elsewhere than \`work/\`. The
trained adapter or model is in \`work/result\`. The rows of a step are shared among the processes: their number does not
change what is trained, and has to divide the rows of a step.

The folder may be copied to another machine. \`model\` in job.json is where the model is found: change it where that is
another place. When the training has ended, bring \`work/result\` and \`work/events.jsonl\` back into this folder, and give
dualign's command again with \`--resume\`, or \`dualign resume RUN\` where it is a run's.
`;

/** Writes what launches a job into its folder, for a number of processes. */
export function writeLaunchFiles(folder: string, { steps, workers }: { steps: number; workers: number }): void {
  mkdirSync(join(folder, "accelerate"), { recursive: true });
  for (const [name, text] of Object.entries(distributions))
    writeFileSync(join(folder, "accelerate", `${name}.yaml`), common(workers) + text);
  writeFileSync(join(folder, "job.slurm"), slurmScript(workers));
  writeFileSync(join(folder, "README.md"), readme(steps, workers));
}
