/** Files of a job folder for those who launch it: accelerate's configurations and a Slurm script. */
import type { TrlDistribution } from "../../recipe/kinds/trl.js";

const common = `compute_environment: LOCAL_MACHINE
machine_rank: 0
main_training_function: main
mixed_precision: "no"
num_machines: 1
num_processes: 8
rdzv_backend: static
same_network: true
use_cpu: false
`;

const deepspeed = (stage: 2 | 3): string => `${common}distributed_type: DEEPSPEED
deepspeed_config:
  gradient_accumulation_steps: auto
  gradient_clipping: auto
  offload_optimizer_device: none
  offload_param_device: none
  zero3_init_flag: ${stage === 3}
  zero3_save_16bit_model: ${stage === 3}
  zero_stage: ${stage}
`;

/** Configurations of accelerate by distribution. None of FSDP and DeepSpeed could be run on a GPU by us. */
export const distributions: Readonly<Record<TrlDistribution, string>> = {
  ddp: `${common}distributed_type: MULTI_GPU
`,
  fsdp: `${common}distributed_type: FSDP
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
export const slurmScript = `#!/bin/bash
#SBATCH --job-name=dualign-dpo
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --requeue
# From the job folder: sbatch job.slurm. Set partition, time and the environment with TRL as your cluster wants them.
# --resume: a job that was put back into the queue goes on from its last checkpoint.
set -euo pipefail
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node "\${SLURM_GPUS_ON_NODE:-8}" \\
  --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d --rdzv-endpoint "$head:29500" dualign_trl.py . --resume
`;
