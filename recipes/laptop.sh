#!/usr/bin/env bash
# The laptop preset's CRATE and GPT-2 on two cores: about 4 minutes each, without a GPU.
set -euo pipefail
OUT=${OUT:-runs/recipe-laptop}
cratelm tokenize reviews --out "$OUT/tokens"
for model in crate gpt2; do
  cratelm train --preset laptop --tokens "$OUT/tokens" --model "$model" --out "$OUT/$model"
done
