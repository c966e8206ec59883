"""Training windows in an order that is a pure function of seed, epoch and index.

No order is ever stored: the window after a place is computed, so that a resumed run, and any number of ranks or
loader workers, read the same tokens at the same step.
"""

import hashlib

import numpy as np
import torch
from torch.utils.data import Dataset

from cratelm.corpus.train_tokens import TrainTokens


def permute(index: int, size: int, key: str) -> int:
    """Where `index` goes under the permutation of range(size) that `key` names.

    Four rounds of a Feistel network over the next power of four; a place outside the range is walked on until it
    falls inside (Black & Rogaway 2002), which keeps the map one-to-one.
    """
    half_bits = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
    mask = (1 << half_bits) - 1
    while True:
        left, right = index >> half_bits, index & mask
        for turn in range(4):
            digest = hashlib.blake2b(f"{key}/{turn}/{right}".encode(), digest_size=8).digest()
            left, right = right, left ^ (int.from_bytes(digest, "little") & mask)
        index = left << half_bits | right
        if index < size:
            return index


class Windows(Dataset):
    """`total` training samples of `context` tokens and their targets, epoch after epoch, each in its own order.

    An epoch is every non-overlapping window of the side once; the tokens after the last whole window are unused.
    """

    def __init__(self, tokens: TrainTokens, context: int, total: int, seed: int):
        self.tokens, self.context, self.total, self.seed = tokens, context, total, seed
        self.in_epoch = (len(tokens) - 1) // context

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """`input_ids` (T,) and the tokens that follow them, `shift_labels` (T,)."""
        epoch, place = divmod(index, self.in_epoch)
        start = permute(place, self.in_epoch, f"{self.seed}/{epoch}") * self.context
        window = torch.from_numpy(self.tokens[start : start + self.context + 1].astype(np.int64))
        return {"input_ids": window[:-1], "shift_labels": window[1:]}
