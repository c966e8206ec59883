#!/usr/bin/env bash
# One of the paper's sizes on a node of 8 GPUs, by DDP. The same command goes on after a stop.
# Not run: no GPU was at hand. `cratelm train … --plan` says what it takes.
set -euo pipefail
SIZE=${SIZE:-2l}                      # 1l, 2l, 3l, 6l, 12l
MODEL=${MODEL:-crate}
TOKENS=${TOKENS:-runs/pile/tokens}    # HF_HUB_OFFLINE=0 cratelm tokenize 'hub:monology/pile-uncopyrighted:train/*' --tokenizer gpt2 …
OUT=${OUT:-runs/paper-$SIZE/$MODEL}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-8}
torchrun --standalone --nproc-per-node 8 --no-python \
  cratelm train --preset "paper-$SIZE" --model "$MODEL" --tokens "$TOKENS" --out "$OUT" "$@"
