"""Permutations of many clients at once, the same as those of each client's own generator."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import jax
import numpy as np

from hasa_jax import keys

_BLOCK = 2**14
"""Clients at a time."""

_FEW = 4096
"""So few clients take less time one by one than a program takes to compile."""

_LONGEST = 256
"""A longer permutation takes NumPy less time than arrays of all clients take here."""

_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

# NumPy's SeedSequence and Philox; both are the same in all releases.
_POOL = 4
_INIT_A, _MULT_A, _INIT_B, _MULT_B = 0x43B0D7E5, 0x931E8875, 0x8B51F9DD, 0x58F38DED
_MIX_LEFT, _MIX_RIGHT = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_MULTIPLIERS = (np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157))
_BUMPS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B))
_ROUNDS = 10


def permutations(
    counts: np.ndarray, key: jax.Array, stream: keys.Stream
) -> Iterator[tuple[slice, np.ndarray]]:
    """Permutes every client's examples with the generator at the client's address.

    Client i gets `keys.generator(keys.address(key, stream, client=i)).permutation(counts[i])`.

    Args:
      counts: examples of each client `[N]`, int.
      key: root key of the run; it is not consumed.
      stream: what the permutations are for.

    Yields:
      Some clients, and their permutations, one after the other, int64; then the next ones.
    """
    counts = np.asarray(counts, np.int64)
    if len(counts) < _FEW:
        own = [
            keys.generator(keys.address(key, stream, client=client)).permutation(count)
            for client, count in enumerate(counts.tolist())
        ]
        yield slice(0, len(counts)), np.concatenate([np.zeros(0, np.int64), *own])
        return
    known = _is_known()
    for first, words in _words_of_clients(key, stream, len(counts)):
        clients = slice(first, first + len(words))
        yield clients, _permuted_block(counts[clients], words, known)


def _permuted_block(counts: np.ndarray, words: np.ndarray, known: bool) -> np.ndarray:
    """Permutes the examples of clients with the words of their keys, one after the other."""
    starts = np.cumsum(counts) - counts
    found = np.empty(counts.sum(), np.int64)
    done = (counts <= _LONGEST) & known
    places = np.flatnonzero(done)
    if places.size:
        values, done[places] = _permuted(counts[places], words[places])
        found[_members(starts[places], counts[places])] = values
    for position in np.flatnonzero(~done).tolist():
        start, count = starts[position], int(counts[position])
        found[start : start + count] = _generator(words[position]).permutation(count)
    return found


def _members(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns `starts[i], ..., starts[i] + counts[i] - 1` for every i, one after the other."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


def _words_of_clients(
    key: jax.Array, stream: keys.Stream, num_clients: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the first client of a block, and the words of the keys of its clients `[n, W]`."""
    one = functools.partial(_words_of, stream)
    addresses = jax.jit(jax.vmap(one, in_axes=(None, 0)))
    # Blocks of one size are compiled once.
    for first in range(0, num_clients, _BLOCK):
        clients = np.arange(first, first + _BLOCK, dtype=np.int32)
        yield first, np.asarray(addresses(key, clients))[: num_clients - first]


def _words_of(stream: keys.Stream, key: jax.Array, client: jax.Array) -> jax.Array:
    """Returns the words of the key of one client in a stream."""
    return jax.random.key_data(keys.address(key, stream, client=client)).ravel()


def _generator(words: np.ndarray) -> np.random.Generator:
    """Returns the generator of the words of a key, as `keys.generator` does."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words.tolist())))


def _is_known() -> bool:
    """Returns whether NumPy permutes as it is done here: its releases may change it."""
    words, counts = np.arange(6, dtype=np.uint32).reshape(3, 2), np.array([8, 33, 200])
    found, _ = _permuted(counts, words)
    expected = [_generator(w).permutation(n) for w, n in zip(words, counts.tolist(), strict=True)]
    return np.array_equal(found, np.concatenate(expected))


def _permuted(counts: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Permutes the examples of some clients, as `Generator.permutation` does.

    From the last position down, each one is swapped with one at or before it. That one is a word
    of which only the lowest bits count; it is drawn again if it is too large.

    Args:
      counts: examples of each client `[n]`.
      words: of the clients' keys `[n, W]`, uint32.

    Returns:
      The permutations one after the other, and which clients had enough words `[n]`, bool; the
      permutations of the others are wrong.
    """
    most = int(counts.max(initial=1))
    # About 1.4 words a swap are drawn.
    drawn = _philox(_seeds(words), blocks=-(-(3 * most // 2 + 12) // 8)).T.copy()
    starts = np.cumsum(counts) - counts
    values = _members(np.zeros(len(counts), np.int64), counts)
    taken, enough = np.zeros(len(counts), np.int64), np.ones(len(counts), bool)
    for step in range(1, most):
        own = np.flatnonzero((counts > step) & enough)
        last = counts[own] - step
        chosen = np.zeros(len(own), np.int64)
        mask = 2 ** np.ceil(np.log2(last + 1)).astype(np.int64) - 1
        left = np.arange(len(own))
        while left.size:
            short = taken[own[left]] >= len(drawn)
            enough[own[left[short]]] = False
            left = left[~short]
            chosen[left] = drawn[taken[own[left]], own[left]] & mask[left]
            taken[own[left]] += 1
            left = left[chosen[left] > last[left]]
        chosen = np.minimum(chosen, last)
        here, there = starts[own] + last, starts[own] + chosen
        values[here], values[there] = values[there], values[here]
    return values, enough


def _seeds(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the keys of Philox for `SeedSequence(words)` `[n]` each, uint64."""
    given = [*np.ascontiguousarray(words.T)]
    empty = np.zeros(len(words), np.uint32)
    constants = _constants(_INIT_A, _MULT_A)
    pool = [_hashed(value, constants) for value in [*given, *[empty] * _POOL][:_POOL]]
    for source in range(_POOL):
        for target in (other for other in range(_POOL) if other != source):
            pool[target] = _mixed(pool[target], _hashed(pool[source], constants))
    for value in given[_POOL:]:
        pool = [_mixed(own, _hashed(value, constants)) for own in pool]
    constants = _constants(_INIT_B, _MULT_B)
    state = [_hashed(value, constants).astype(np.uint64) for value in pool]
    return state[0] | state[1] << _HALF, state[2] | state[3] << _HALF


def _constants(first: int, factor: int) -> Iterator[tuple[np.uint32, np.uint32]]:
    """Yields `(c, c factor)` in 32 bits, for `c` from `first` on, `c` times `factor` each time."""
    while True:
        following = first * factor & 0xFFFFFFFF
        yield np.uint32(first), np.uint32(following)
        first = following


def _hashed(value: np.ndarray, constants: Iterator[tuple[np.uint32, np.uint32]]) -> np.ndarray:
    """Hashes words with the next constants."""
    flip, factor = next(constants)
    value = (value ^ flip) * factor
    return value ^ (value >> np.uint32(16))


def _mixed(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Mixes two arrays of words."""
    value = _MIX_LEFT * left - _MIX_RIGHT * right
    return value ^ (value >> np.uint32(16))


def _philox(keys_of: tuple[np.ndarray, np.ndarray], blocks: int) -> np.ndarray:
    """Returns the first words of 32 bits of Philox 4x64-10 `[n, 8 blocks]`, int64."""
    first, second = (key[:, None] for key in keys_of)
    count = len(first)
    counter = np.broadcast_to(np.arange(1, blocks + 1, dtype=np.uint64), (count, blocks))
    state = [counter, *[np.zeros((count, blocks), np.uint64)] * 3]
    for _ in range(_ROUNDS):
        high0, low0 = _product(_MULTIPLIERS[0], state[0])
        high1, low1 = _product(_MULTIPLIERS[1], state[2])
        state = [high1 ^ state[1] ^ first, low1, high0 ^ state[3] ^ second, low0]
        first, second = first + _BUMPS[0], second + _BUMPS[1]
    halves = [half for word in state for half in (word & _WORD, word >> _HALF)]
    return np.stack(halves, axis=-1).reshape(count, -1).astype(np.int64)


def _product(left: np.uint64, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the higher and the lower 64 bits of a product."""
    low, high = left & _WORD, left >> _HALF
    right_low, right_high = right & _WORD, right >> _HALF
    cross = high * right_low + (low * right_low >> _HALF)
    other = low * right_high + (cross & _WORD)
    return high * right_high + (cross >> _HALF) + (other >> _HALF), left * right
