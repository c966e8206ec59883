"""What the paper's reviewers asked for, and where it is answered or why it is open."""

from cratelm.reproduce.tables import Table

QUESTIONS = (
    (
        "Why is the last layer left out?",
        "No reason is published. Here every layer counts; the published means stand with and without it.",
    ),
    (
        "Neurons drawn at random, not chosen",
        "*Units*: drawn by seed from all layers; the best stand apart, and are called so.",
    ),
    (
        "A study with people",
        "Open: nobody has been asked. docs/judges.md says how far judges by language model can be trusted.",
    ),
    (
        "How many neurons?",
        "All of every layer, 512 a layer. Those that cannot be scored count as 0; their share is in each cell.",
    ),
    (
        "Error bars",
        "In a cell: documents and units. Between models: a t interval over seeds, with the choice of documents where a "
        "cell holds it. Neither is divided.",
    ),
    (
        "L0 and expansion of the autoencoders",
        "*Autoencoders*: their names say both (1x-k32: as many latents as units, 32 at a token); docs/sae.md for 16x "
        "and the paper's own recipe, which have been tried, not compared.",
    ),
    ("ISTA against ReLU, L1, TopK", "*Designs*: `gpt2`, `gpt2-l1`, `gpt2-topk` beside `crate` and its relatives."),
    ("MSSA against separate queries, keys and values", "*Designs*: `crate-separate`, `gpt2-mssa`, `crate-query`."),
    ("A sweep of lambda", "*Designs*: `ista_threshold` at 0, 0.1 (`crate`) and 0.4; steps at 1, 2 (`crate`) and 4."),
    (
        "Training time against GPT-2",
        "docs/training.md: operations and tokens a second of both at every size of the paper; processor hours above.",
    ),
    ("Is the gap in loss unavoidable?", "*Designs*: what lies on the edge, and at which loss."),
    (
        "Is it more than reading the current token?",
        "*White-box, or less context?*: token share, and what other designs say; *Context taken away*: "
        "both models where neither sees more than its token.",
    ),
    (
        "Is it random weights that are explained?",
        "*Along the training*: share 0 is the untrained network, measured alike.",
    ),
    (
        "What does white-box mean?",
        "The layers are derived from an objective that training never computes. docs/analysis.md measures how far a "
        "trained layer still does what it was derived to do.",
    ),
)


def questions() -> Table:
    """A row a question."""
    return ["asked", "answer"], [list(row) for row in QUESTIONS]
