"""Small language models of transformers, and a tokenizer of bytes, that several tests share."""

import torch
from tokenizers import Tokenizer
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from cratelm.corpus.tokenizer import END_OF_TEXT, train_bpe

VOCABULARY, CONTEXT = 257, 12
TEXTS = [
    "the film was long",
    "é 🎬 in the café",
    "a",
    "the cat sat on the mat and the dog did not",
    "no <|endoftext|> here",
]


def bytes_tokenizer(start: bool = True) -> PreTrainedTokenizerFast:
    """A token a byte, and number 0: end-of-text, which begins a text; without `start` an ordinary token."""
    special = {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT} if start else {}
    bytewise = train_bpe(["a"], VOCABULARY)
    if not start:
        bytewise = Tokenizer.from_str(bytewise.to_str().replace(END_OF_TEXT, "<|unused|>"))
    return PreTrainedTokenizerFast(tokenizer_object=bytewise, **special)


def random_gpt2(**settings) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "n_embd": 16, "n_head": 2, "n_layer": 2, "n_positions": CONTEXT}
    # Larger than transformers draws them, so that a token depends on those long before it.
    drawn = {"initializer_range": 0.5, "bos_token_id": 0, "eos_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(**(sizes | drawn | settings))).eval()


def successor_gpt2(successors: dict[str, str]) -> GPT2LMHeadModel:
    """A GPT-2 whose likeliest token depends on the one before it alone, as the table says."""
    model = random_gpt2(n_embd=VOCABULARY, n_head=1, n_layer=1, n_positions=64, tie_word_embeddings=False)
    state = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    state["transformer.wte.weight"] = torch.eye(VOCABULARY)
    state["transformer.ln_f.weight"] = torch.ones(VOCABULARY)
    number = bytes_tokenizer().backend_tokenizer.token_to_id
    for one, other in successors.items():
        state["lm_head.weight"][number(other.replace(" ", "Ġ")), number(one.replace(" ", "Ġ"))] = 1
    model.load_state_dict(state)
    return model


PASSAGES = {"ab cd": True, "xb cd": True, "ab cx": False, "ab dc": False, "cd": True, "cx": False, "aa  cd": False}
