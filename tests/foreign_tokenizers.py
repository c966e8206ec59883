"""Small tokenizers of each kind that models of the hub come with, trained on a few sentences in the test."""

import json
from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram, WordPiece
from tokenizers.trainers import BpeTrainer, UnigramTrainer, WordPieceTrainer

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
"""Byte fallback, as vocabularies after SentencePiece name its tokens."""


def byte_level(texts: Sequence[str], end: str, spaces: int = 0) -> Tokenizer:
    """GPT-2's kind: Pythia, OLMo, OPT, Phi, Falcon, BLOOM, Llama 3, Qwen; `spaces` adds runs of them, as Pythia has."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=400, special_tokens=[end], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(" " * length, normalized=True) for length in range(2, 2 + spaces)])
    return tokenizer


def sentencepiece_bpe(texts: Sequence[str], start: str = "<s>", end: str = "</s>", prefix: bool = True) -> Tokenizer:
    """BPE after SentencePiece, with byte fallback: Llama 2 and Mistral; without the `prefix` space, Gemma."""
    first = BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    steps = [normalizers.Replace(" ", "▁")]
    first_steps = [normalizers.Prepend("▁"), *steps] if prefix else steps
    learner = Tokenizer(first)
    learner.normalizer = normalizers.Sequence(first_steps)
    learner.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # so that no merge goes over a space
    special = ["<unk>", start, end, *BYTES]
    learner.train_from_iterator(texts, BpeTrainer(vocab_size=450, special_tokens=special, show_progress=False))
    described = learner.to_str()
    tokenizer = Tokenizer.from_str(described)
    # Byte tokens are ordinary entries of the vocabulary; the trainer knows no other way to put them in.
    model = BPE(
        vocab=tokenizer.get_vocab(),
        merges=_merges(described),
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(first_steps)
    spaces = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*spaces, decoders.Strip(" ", 1, 0)] if prefix else spaces)
    tokenizer.add_special_tokens(["<unk>", start, end])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A", special_tokens=[(start, tokenizer.token_to_id(start))]
    )
    return tokenizer


def _merges(described: str) -> list[tuple[str, str]]:
    return [(left, right) for left, right in json.loads(described)["model"]["merges"]]


def unigram(texts: Sequence[str]) -> Tokenizer:
    """SentencePiece's own kind, with Metaspace: T5, XLM."""
    tokenizer = Tokenizer(Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = UnigramTrainer(vocab_size=200, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def wordpiece(texts: Sequence[str]) -> Tokenizer:
    """BERT's kind: lower case, `##` before what goes on a word."""
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(texts, WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False))
    return tokenizer


def word_ends(texts: Sequence[str]) -> Tokenizer:
    """GPT-1's kind: lower case, `</w>` behind what ends a word."""
    tokenizer = Tokenizer(BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = BpeTrainer(vocab_size=300, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def without_bytes(tokenizer: Tokenizer, dropped: Sequence[str]) -> Tokenizer:
    """The same without some of the tokens of byte fallback; ids have no holes."""
    described = json.loads(tokenizer.to_str())
    names = [name for name in described["model"]["vocab"] if name not in dropped]
    described["model"]["vocab"] = {name: number for number, name in enumerate(names)}
    for token in described["added_tokens"]:
        token["id"] = names.index(token["content"])
    return Tokenizer.from_str(json.dumps(described | {"post_processor": None}))
