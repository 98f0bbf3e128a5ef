"""Token ids of texts: pieces of words, by byte-pair encoding of the training texts."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.memory import check_memory
from hasa_jax.datasets.vocabulary import PADDING_ID, UNKNOWN_ID, pad

_PADDING, _UNKNOWN = "<padding>", "<unknown>"
_NUM_BYTES = 256
_MIN_COUNT = 2
_BLOCK = 4096


def encoded(
    texts: np.ndarray, train: np.ndarray, vocab_size: int, max_length: int
) -> tuple[np.ndarray, int]:
    """Converts texts to ids of pieces of words by byte-pair encoding; needs tokenizers.

    Texts are normalised (NFKC), converted to lower case and given single spaces. Pieces are made of
    bytes, so every script works. The first pieces are single bytes. Then the most frequent pair of
    neighbours is joined again and again, until there are enough pieces. A byte that no training
    text has is unknown. The pieces depend only on the training texts. The same texts give the same
    ids with any number of threads.

    Args:
      texts: texts `[n]`.
      train: indices of the training texts.
      vocab_size: largest number of ids, including padding and unknown; 0 joins pairs until none
        occurs twice.
      max_length: ids kept of a text, `T`.

    Returns:
      Ids `[n, T]` int32, and the number of ids. `PADDING_ID` comes after the pieces. `UNKNOWN_ID`
      is for unknown bytes and for a text without any piece.

    Raises:
      UserError: if `vocab_size` is too small for the bytes of the training texts, if an argument is
        out of range, or if tokenizers is not installed.

    References:
      Sennrich et al., ACL 2016; on bytes as in Radford et al., 2019.
    """
    at_least(0, vocab_size=vocab_size)
    at_least(1, max_length=max_length)
    check_memory(4 * len(texts) * max_length, f"`max_length` is {max_length}")
    plain = [" ".join(unicodedata.normalize("NFKC", text).lower().split()) for text in texts]
    tokenizer = _trained([plain[index] for index in train], vocab_size)
    tokenizer.enable_truncation(max_length)
    inputs = np.full((len(plain), max_length), PADDING_ID, np.int32)
    # Blocks keep the memory for the objects of the tokenizer small.
    for start in range(0, len(plain), _BLOCK):
        found = tokenizer.encode_batch_fast(plain[start : start + _BLOCK], add_special_tokens=False)
        ids = [np.array(text.ids or [UNKNOWN_ID], np.int32) for text in found]
        inputs[start : start + len(ids)] = pad(ids, max_length)
    return inputs, tokenizer.get_vocab_size()


def _trained(texts: list[str], vocab_size: int) -> Any:
    """Returns a tokenizer with the pieces of these texts."""
    try:
        # The package is optional, so it is imported only where it is needed.
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    except ImportError:
        raise UserError("texts need tokenizers: pip install 'hasa_jax[data]'") from None
    tokenizer = Tokenizer(models.BPE(unk_token=_UNKNOWN, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    most = _most_pieces(texts)
    trainer = trainers.BpeTrainer(
        # The trainer reserves memory for this number, so it must not be far too large.
        vocab_size=min(vocab_size or most, most),
        min_frequency=_MIN_COUNT,
        special_tokens=[_PADDING, _UNKNOWN],  # In the order of their ids.
        show_progress=False,
    )
    tokenizer.train_from_iterator(iter(texts), trainer=trainer, length=len(texts))
    # Without this, the text "<padding>" would get the id of padding.
    tokenizer.encode_special_tokens = True
    found = tokenizer.get_vocab_size()
    if vocab_size and found > vocab_size:
        raise UserError(
            f"`vocab_size` is {vocab_size}: the training texts need at least {found} ids, for "
            "their different bytes, padding and unknown; raise `vocab_size`"
        )
    return tokenizer


def _most_pieces(texts: Iterable[str]) -> int:
    """Returns an upper bound of the number of ids."""
    # Every joined pair makes some word shorter by one piece; a word starts with a space.
    words = {word for text in texts for word in text.split()}
    return _NUM_BYTES + 2 + sum(len(word.encode()) + 1 for word in words)
