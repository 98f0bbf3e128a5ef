"""Texts to be classified: from words to rows of ids, by pieces of words found in training texts."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.vocabulary import PADDING_ID, UNKNOWN_ID, pad

_PADDING, _UNKNOWN = "<padding>", "<unknown>"
_NUM_BYTES = 256
_MIN_COUNT = 2
_BLOCK = 4096


def encoded(
    texts: np.ndarray, train_rows: np.ndarray, vocab_size: int, max_length: int
) -> tuple[np.ndarray, int]:
    """Turns texts into ids of pieces of words, by byte-pair encoding; needs tokenizers.

    Texts are normalised (NFKC), lower-cased and given single spaces. Pieces are of bytes, so that
    any script will do; from single bytes on, the most frequent pair of neighbours is joined until
    there are enough pieces. A byte that no training text has is unknown. Nothing but training texts
    shapes the pieces, and the same texts give the same ids, with any number of threads.

    Args:
      texts: texts `[n]`.
      train_rows: rows of the training texts.
      vocab_size: most ids, padding and unknown included; 0 for as many as there are before no pair
        occurs twice.
      max_length: ids kept of a text, `T`.

    Returns:
      Ids `[n, T]` int32: `PADDING_ID` after the pieces, `UNKNOWN_ID` for what is unknown and for a
      text without any piece; and the number of ids.

    Raises:
      UserError: if `vocab_size` leaves no room for the bytes of the training texts, for arguments
        out of range, or if tokenizers is not there.

    References:
      Sennrich et al., ACL 2016; on bytes as in Radford et al., 2019.
    """
    at_least(0, vocab_size=vocab_size)
    at_least(1, max_length=max_length)
    plain = [" ".join(unicodedata.normalize("NFKC", text).lower().split()) for text in texts]
    tokenizer = _trained([plain[row] for row in train_rows], vocab_size)
    tokenizer.enable_truncation(max_length)
    inputs = np.full((len(plain), max_length), PADDING_ID, np.int32)
    # Blocks, so that the library's objects for all texts never exist at once.
    for start in range(0, len(plain), _BLOCK):
        found = tokenizer.encode_batch_fast(plain[start : start + _BLOCK], add_special_tokens=False)
        ids = [np.array(text.ids or [UNKNOWN_ID], np.int32) for text in found]
        inputs[start : start + len(ids)] = pad(ids, max_length)
    return inputs, tokenizer.get_vocab_size()


def _trained(texts: list[str], vocab_size: int) -> Any:
    """Returns a tokeniser of the pieces of these texts."""
    try:
        # The extra is optional, so only its user pays for it.
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    except ImportError:
        raise UserError("texts need tokenizers: pip install 'hasa_jax[data]'") from None
    tokenizer = Tokenizer(models.BPE(unk_token=_UNKNOWN, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    most = _most_pieces(texts)
    trainer = trainers.BpeTrainer(
        # The library makes room for as many as it is told, so it is not told more than can be.
        vocab_size=min(vocab_size or most, most),
        min_frequency=_MIN_COUNT,
        special_tokens=[_PADDING, _UNKNOWN],  # In the order of their ids.
        show_progress=False,
    )
    tokenizer.train_from_iterator(iter(texts), trainer=trainer, length=len(texts))
    # Otherwise a text that spells out "<padding>" would get its id.
    tokenizer.encode_special_tokens = True
    found = tokenizer.get_vocab_size()
    if vocab_size and found > vocab_size:
        raise UserError(
            f"vocab_size is {vocab_size}: the training texts need at least {found}, for their "
            "different bytes, padding and the unknown; raise --vocab_size"
        )
    return tokenizer


def _most_pieces(texts: Iterable[str]) -> int:
    """Returns a number of ids that no training can go beyond."""
    # Every pair joined makes a different word shorter by a piece; words start with a space.
    words = {word for text in texts for word in text.split()}
    return _NUM_BYTES + 2 + sum(len(word.encode()) + 1 for word in words)
