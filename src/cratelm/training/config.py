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
    """How many tokens each model is trained on, rounded up to whole batches. 0 keeps the random weights."""
    batch: Annotated[int, whole(1, 2**20)] = 8
    """Windows of one context length in a batch, which is one optimizer step, over all processes."""
    at_once: Annotated[int | None, whole(1, 2**20)] = None
    """Windows that one process computes at once; it accumulates gradients until the batch is full. By default the batch
    divided by the number of processes."""
    learning_rate: Annotated[float, number(above=0, most=1000)] = 2e-3
    """The highest learning rate of the schedule."""
    warmup: Annotated[float, number(least=0, below=1)] = 0.05
    """Share of the steps over which the learning rate rises."""
    weight_decay: Annotated[float, number(least=0, most=100)] = 0.1
    """AdamW's weight decay of matrices; biases and norms have none."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """The type of training's computations. `auto` is bf16 on a GPU that has it, and on a processor that multiplies at
    least 1.15 times as fast in it (measured once a machine, kept in ~/.cache/cratelm); fp32 elsewhere. fp16 needs a
    GPU."""
    weights: Literal["float32", "bfloat16"] = "float32"
    """The type that the trained weights are stored in. `bfloat16` takes half the disk. The final loss, and all that is
    measured on the model, are then those of the rounded weights."""
    compile: Literal["auto", "yes", "no"] = "auto"
    """Whether training compiles the model (torch.compile); `auto` does where a C++ compiler is installed."""
    activation_checkpointing: bool = False
    """Keep only each layer's input for the backward pass, and compute the rest again: less memory, a third slower."""
    loss_chunk: Annotated[int | None, whole(1, 2**30)] = None
    """Compute the loss for so many positions at once: less memory for logits, but slower; the head runs uncompiled."""
    sharded: bool = False
    """Distribute weights, gradients and the optimizer's moments over the processes (FSDP2) instead of keeping a copy in
    each; needs several GPUs."""
    checkpoint_minutes: Annotated[float, number(above=0, most=1_000_000)] = 10
    """Write a checkpoint as well whenever the last one is older than so many minutes."""
    snapshots: str = ""
    """Shares of the steps after which a copy of the model is kept, with commas between them, such as `0.1,0.5`."""
    track: Literal["none", "trackio", "wandb", "tensorboard"] = "none"
    """The tracker that losses are sent to, in addition to log/metrics.jsonl."""
    evaluations: Annotated[int, whole(1, 1_000_000)] = 10
    """How often the validation loss is measured during training."""
    evaluation_documents: Annotated[int, whole(1)] = 100
    """How many validation documents are read each time; the final loss is measured on all of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            bad = [share for share in self.snapshot_shares if not 0 < share < 1]
        except ValueError as error:
            raise InputError(f"training: snapshots {self.snapshots!r} are not numbers with commas between.") from error
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
