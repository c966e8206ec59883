"""The configuration of what differs from CRATE-LM in one thing or a few."""

from huggingface_hub.dataclasses import strict

from .configuration_crate import CrateConfig

ATTENTIONS = ("mssa", "low-rank-query", "separate-query", "separate")


@strict
class CrateVariantConfig(CrateConfig):
    """CRATE's relatives; by default CRATE itself. docs/models.md has each option's equation.

    `attention` says how far MSSA's one projection is untied; `query_rank`, a quarter of the width where it is not
    given, is the rank of the low-rank query. `residual` adds the sparse block to the stream, `decoupled` gives decoding
    a dictionary of its own (both together are CRATE-alpha, arXiv 2405.20299), `learned` trains each unit's step size
    and threshold, `complete` is the first CRATE's block (arXiv 2306.01129), whose code itself goes on. `rotary` turns
    queries and keys by their positions, queries of head k as if they stood k tokens earlier.
    """

    model_type = "crate-variant"
    base_model_tp_plan = (CrateConfig.base_model_tp_plan or {}) | {
        "layers.*.attention.query_proj": "colwise",
        "layers.*.attention.key_proj": "colwise",
        "layers.*.attention.query_up_proj": "colwise",
    }

    attention: str = "mssa"
    query_rank: int | None = None
    residual: bool = False
    decoupled: bool = False
    learned: bool = False
    complete: bool = False
    rotary: bool = False

    def __post_init__(self, **kwargs):
        if self.complete and self.dictionary_size is None:
            self.dictionary_size = self.hidden_size
        if self.attention == "low-rank-query" and self.query_rank is None:
            self.query_rank = max(1, self.hidden_size // 4)
        if self.rotary:  # a shard of the heads does not know their numbers
            plan = type(self).base_model_tp_plan or {}
            self.base_model_tp_plan = {name: how for name, how in plan.items() if ".attention." not in name}  # type: ignore[read-only]
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        """Refuse numbers that do not fit each other, and settings that would mean nothing."""
        super().validate_architecture()
        if self.attention not in ATTENTIONS:
            raise ValueError(f"attention is one of {', '.join(ATTENTIONS)}, not {self.attention!r}")
        if self.query_rank is not None:
            self._require_rank(self.query_rank)
        if self.learned and min(self.ista_threshold, self.ista_step_size) <= 0:
            raise ValueError(
                f"learned step sizes and thresholds stay positive, so ista_step_size {self.ista_step_size} and "
                f"ista_threshold {self.ista_threshold}, where they begin, must be above 0"
            )
        if self.rotary and self.hidden_size // self.num_attention_heads % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} / num_attention_heads {self.num_attention_heads} must be even where "
                "rotary: positions turn pairs of coordinates"
            )
        if self.complete:
            self._require_complete()

    def _require_rank(self, rank: int):
        if self.attention != "low-rank-query":
            raise ValueError(f"query_rank {rank} means nothing with attention {self.attention!r}")
        if not 1 <= rank < self.hidden_size:
            raise ValueError(f"query_rank {rank} must be from 1 to below hidden_size {self.hidden_size}")

    def _require_complete(self):
        if self.dictionary_size != self.hidden_size:
            raise ValueError(
                f"a complete dictionary has as many atoms as the width: dictionary_size {self.dictionary_size} is not "
                f"hidden_size {self.hidden_size}"
            )
        if self.decoupled:
            raise ValueError("decoupled means nothing where complete: its code goes on as it is, nothing is decoded")
        if self.learned:
            raise ValueError("learned is for the overcomplete block; the complete one has fixed numbers")
