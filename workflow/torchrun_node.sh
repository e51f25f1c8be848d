#!/usr/bin/env bash
# One node's part of a training over several nodes; srun starts it once a node.
#   torchrun_node.sh PYTHON NODES GPUS_PER_NODE -m MODULE ARGUMENTS...
set -euo pipefail
python=$1 nodes=$2 gpus=$3
shift 3
# the address, not the name: compute nodes need no DNS for it
exec "$python" -m torch.distributed.run --nnodes "$nodes" --nproc-per-node "$gpus" --rdzv-backend c10d \
  --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$SLURM_LAUNCH_NODE_IPADDR:$((20000 + SLURM_JOB_ID % 20000))" "$@"
