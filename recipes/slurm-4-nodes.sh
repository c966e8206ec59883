#!/usr/bin/env bash
#SBATCH --job-name=cratelm
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=96:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
# One of the paper's sizes on four nodes of 8 GPUs: sbatch recipes/slurm-4-nodes.sh. Slurm's SIGTERM, five minutes before
# the limit, commits a checkpoint; the requeued job goes on from it. The folders have to be on a disk that all nodes share.
# Not run: no cluster was at hand.
set -euo pipefail
SIZE=${SIZE:-12l}
MODEL=${MODEL:-crate}
TOKENS=${TOKENS:-runs/pile/tokens}
OUT=${OUT:-runs/paper-$SIZE/$MODEL}
HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export OMP_NUM_THREADS=8
srun torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint "$HEAD:29500" --no-python \
  cratelm train --preset "paper-$SIZE" --model "$MODEL" --tokens "$TOKENS" --out "$OUT" \
  --training.at-once 16
