"""What training can be told."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from cratelm.errors import InputError
from cratelm.ranges import Configuration, Seed, number, whole
from cratelm.shapes import ShapeConfig, require_model


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Configuration):
    """The recipe: AdamW with warm-up and a cosine to a tenth, as in the paper."""

    tokens: Annotated[int, whole(0)] = 5_000_000
    """Tokens that each model sees; rounded up to whole batches. 0 leaves the random weights as they are."""
    batch: Annotated[int, whole(1, 2**20)] = 8
    """Windows of one context length in a batch, over all processes: an optimizer step."""
    at_once: Annotated[int | None, whole(1, 2**20)] = None
    """Windows that one process computes at once; gradients are added up until the batch is full. The batch divided by
    the number of processes by default."""
    learning_rate: Annotated[float, number(above=0, most=1000)] = 2e-3
    """The peak of the schedule."""
    warmup: Annotated[float, number(least=0, below=1)] = 0.05
    """Share of the steps over which the learning rate rises."""
    weight_decay: Annotated[float, number(least=0, most=100)] = 0.1
    """AdamW's decay of matrices; biases and norms have none."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """`auto` is bf16 on a GPU that has it, and on a processor that multiplies in bf16 at least 1.15 times as
    fast, which is measured once a machine and kept in ~/.cache/cratelm; fp32 elsewhere. fp16 needs a GPU."""
    weights: Literal["float32", "bfloat16"] = "float32"
    """The type that the trained weights are stored in. `bfloat16` takes half the disk. The final loss, and all that is
    measured on the model, are then those of the rounded weights."""
    compile: Literal["auto", "yes", "no"] = "auto"
    """`auto` compiles the model where a C++ compiler is installed."""
    activation_checkpointing: bool = False
    """Keep each layer's input alone for the backward pass, and compute the rest again: less memory, a third slower."""
    loss_chunk: Annotated[int | None, whole(1, 2**30)] = None
    """Compute the loss for so many positions at once: less memory for logits, and slower; the head runs uncompiled."""
    sharded: bool = False
    """Share weights, gradients and the optimizer's moments out over the processes (FSDP2), where a copy in each would
    not fit; needs several GPUs."""
    checkpoint_minutes: Annotated[float, number(above=0, most=1_000_000)] = 10
    """A checkpoint is also written where the last one is older than this."""
    snapshots: str = ""
    """Shares of the training, with commas, at which the model is kept as it then is: `0.1,0.5`."""
    track: Literal["none", "trackio", "wandb", "tensorboard"] = "none"
    """Where losses are sent, in addition to log/metrics.jsonl."""
    evaluations: Annotated[int, whole(1, 1_000_000)] = 10
    """Points of the validation curve."""
    evaluation_documents: Annotated[int, whole(1)] = 100
    """Validation documents for a point of the curve; the final loss is measured on all of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            bad = [share for share in self.snapshot_shares if not 0 < share < 1]
        except ValueError as error:
            raise InputError(f"training: snapshots {self.snapshots!r} are no numbers with commas between.") from error
        if bad:
            raise InputError(f"training: a snapshot is taken at a share between 0 and 1, not at {bad[0]}.")

    @property
    def snapshot_shares(self) -> list[float]:
        """The numbers in `snapshots`."""
        return [float(share) for share in self.snapshots.split(",") if share.strip()]

    def rows_at_once(self, processes: int) -> int:
        """Windows that each of so many processes computes at once; InputError where the batch can't be dealt out."""
        rows = self.at_once or self.batch // processes
        if not rows or self.batch % (rows * processes):
            raise InputError(
                f"a batch of {self.batch} windows cannot be dealt out to {processes} processes, {rows or 1} windows at "
                "once each. Choose --training.batch as a multiple of processes times --training.at-once."
            )
        return rows

    def accumulation(self, processes: int) -> int:
        """How many times gradients are added up before a step."""
        return self.batch // (self.rows_at_once(processes) * processes)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Configuration):
    """One model's training: which model, how large, by which recipe, from which seed."""

    model: str = "crate"
    """A model's name, such as `crate`, `gpt2`, `crate-alpha` or `crate+ista_threshold=0.4` (see docs/models.md)."""
    shape: ShapeConfig = field(default_factory=ShapeConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: Seed = 0
    """Seed of the weights and of the order of the data."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_model(self.model)

    @property
    def batch_tokens(self) -> int:
        """Tokens in a batch."""
        return self.training.batch * self.shape.context

    @property
    def steps(self) -> int:
        """Optimizer steps: as many whole batches as the tokens need."""
        return -(-self.training.tokens // self.batch_tokens)
