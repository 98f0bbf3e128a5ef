import itertools

import jax
import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.allocation.scores import label_divergence
from hasa_jax.allocation.scores.counts import label_counts
from hasa_jax.datasets import fingerprint, synthetic_needs
from hasa_jax.datasets.synthetic_needs import traits_of_clients

CORRELATIONS = (-1.0, -0.3, 0.0, 0.6, 1.0)
UNKNOWN_INPUT = 1
FIRST_WORD = 2


def needs(seed=0, **arguments):
    return synthetic_needs(jax.random.key(seed), **{"test_titles": 20, **arguments})


def of_client(part, client):
    own = slice(*part.offsets[client : client + 2])
    return np.asarray(part.inputs[own]), np.asarray(part.targets[own])


def correlation(one, other):
    return np.corrcoef(one, other)[0, 1]


@pytest.mark.parametrize(("score", "size"), [*itertools.product(CORRELATIONS, CORRELATIONS)])
def test_traits_have_the_correlations_that_were_asked_for(score, size):
    traits = traits_of_clients(num_titles=8_000_000, score_correlation=score, size_correlation=size)
    assert correlation(traits.unlike, traits.hard) == pytest.approx(score, abs=1e-9)
    assert correlation(traits.titles, traits.hard) == pytest.approx(size, abs=1e-5)
    assert correlation(traits.unlike, traits.titles) == pytest.approx(score * size, abs=1e-5)


@pytest.mark.parametrize(("score", "size"), [*itertools.product(CORRELATIONS, CORRELATIONS)])
def test_traits_stay_within_their_strengths(score, size):
    traits = traits_of_clients(
        num_titles=2000,
        heterogeneity=0.8,
        difficulty=0.7,
        inequality=0.5,
        score_correlation=score,
        size_correlation=size,
    )
    assert set(traits.hard) == {0.0, 0.7}
    assert traits.unlike.min() == pytest.approx(0, abs=1e-12)
    assert traits.unlike.max() == pytest.approx(0.8)
    assert traits.titles.max() / traits.titles.min() == pytest.approx(3, rel=0.02)
    assert traits.titles.sum() == pytest.approx(2000, abs=4)


def test_every_kind_has_as_many_clients_as_asked():
    traits = traits_of_clients(score_correlation=0, size_correlation=0, clients_per_kind=3)
    kinds, counts = np.unique(np.stack([*vars(traits).values()]), axis=1, return_counts=True)
    assert kinds.shape[1] == 8
    assert (counts == 3).all()


def test_strengths_of_zero_leave_no_difference():
    traits = traits_of_clients(heterogeneity=0, difficulty=0, inequality=0)
    for trait in vars(traits).values():
        assert np.ptp(trait) == 0


def test_test_titles_are_as_many_for_small_clients():
    data = needs(test_titles=40, size_correlation=-1.0)
    assert set(data.test.num_examples) == {40}
    assert set(data.validation.num_examples) == {10}
    assert data.train.num_examples.tolist() == [325] * 4 + [175] * 4
    assert data.client_names == (
        *(f"easy_{i}" for i in range(4)),
        *(f"hard_{i}" for i in range(4, 8)),
    )


def test_shapes_are_the_same_for_every_key():
    one, other = needs(0), needs(1)
    assert fingerprint(one) != fingerprint(other)
    for mine, theirs in ((one.train, other.train), (one.test, other.test)):
        np.testing.assert_array_equal(mine.offsets, theirs.offsets)
        assert mine.inputs.shape == theirs.inputs.shape
        assert mine.num_classes == theirs.num_classes


def successors(data, client, frequent):
    """Returns which words follow every word that is an input: counts `[K, K]`."""
    inputs, targets = of_client(data.train, client)
    found = np.zeros((data.train.num_classes,) * 2, int)
    shown = inputs != UNKNOWN_INPUT
    np.add.at(found, (inputs[shown] - FIRST_WORD, targets[shown]), 1)
    return found


def test_words_follow_one_cycle_and_slip():
    data = needs(num_titles=8000, difficulty=1.0, rare_words=12, frequent_words=4)
    for client, words in ((0, range(4)), (7, range(4, 16))):
        found = successors(data, client, 4)
        assert set(np.flatnonzero(found.sum(1))) == set(words)
        following = found.argmax(1)
        word, seen = words[0], []
        for _ in words:
            seen.append(word)
            word = following[word]
        assert (sorted(seen), word) == (list(words), words[0])
        # A slip may draw the right word.
        share = found.max(1).sum() / found.sum()
        assert share == pytest.approx(0.9 + 0.1 / len(words), abs=0.01)


def test_clients_share_the_tables_and_the_hard_ones_know_both():
    data = needs(num_titles=8000, difficulty=0.75, rare_words=12, frequent_words=4)
    tables = [successors(data, client, 4) for client in range(8)]
    for easy, hard in itertools.product(tables[:4], tables[4:]):
        np.testing.assert_array_equal(easy.argmax(1)[:4], hard.argmax(1)[:4])
    for one, other in itertools.combinations(tables[4:], 2):
        np.testing.assert_array_equal(one.argmax(1)[4:16], other.argmax(1)[4:16])


def test_only_words_that_tell_the_next_one_are_inputs():
    data = needs()
    inputs, targets = data.test.inputs, data.test.targets
    assert (inputs[:, :9] == UNKNOWN_INPUT).all()
    np.testing.assert_array_equal(inputs[:, 9:], targets[:, 8:13] + FIRST_WORD)


def test_the_labels_say_nothing_of_the_difficulty():
    """Easy and hard clients use all words alike: their counts differ as two random samples do."""
    data = needs(num_titles=16_000, heterogeneity=0.0, inequality=0.0, difficulty=1.0)
    counts = label_counts(data.train)
    easy, hard = counts[:4].sum(0), counts[4:].sum(0)
    # A word by a table depends on the one before it; six of a title make the sum vary more.
    spread = np.sqrt(easy + hard)
    assert np.abs((easy - hard) / spread).max() < 6
    assert np.sqrt(np.mean(((easy - hard) / spread) ** 2)) < 1.6


@pytest.mark.parametrize(
    ("score", "size"), [*itertools.product((-1.0, 0.0, 1.0), (-1.0, 0.0, 1.0))]
)
def test_the_score_ranks_by_heterogeneity_and_not_by_difficulty(score, size):
    arguments = {"score_correlation": score, "size_correlation": size, "heterogeneity": 1.0}
    data, traits = needs(**arguments), traits_of_clients(**arguments)
    scores = label_divergence()(data.train, None, jax.random.key(0))
    unlike = traits.unlike > 0.5
    assert scores[unlike].min() > 2 * scores[~unlike].max()
    if score == 0 and size == 0:
        # Two hard and two easy clients are unlike: what is left are samples of unequal size.
        assert abs(correlation(scores, traits.hard)) < 0.1


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"heterogeneity": 1.2}, "heterogeneity"),
        ({"difficulty": -0.1}, "difficulty"),
        ({"inequality": 1.5}, "inequality"),
        ({"inequality": 1.0, "size_correlation": 1.0}, "num_titles"),
        ({"score_correlation": 1.1}, "score_correlation"),
        ({"size_correlation": -2.0}, "size_correlation"),
        ({"num_titles": 3}, "num_titles"),
        ({"num_titles": 10**16}, "num_titles"),
        ({"rare_words": 1}, "rare_words"),
        ({"rare_words": 10**16}, "rare_words"),
        ({"frequent_words": 1}, "frequent_words"),
        ({"test_titles": 0}, "test_titles"),
        ({"test_titles": 10**15}, "test_titles"),
        ({"clients_per_kind": 0}, "clients_per_kind"),
        ({"clients_per_kind": 10**15}, "clients_per_kind"),
    ],
)
def test_bad_arguments_are_named(arguments, name):
    with pytest.raises(UserError, match=f"`{name}`"):
        needs(**arguments)
