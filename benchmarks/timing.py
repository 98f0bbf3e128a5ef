"""The least seconds of a form: in a loop or by calls, on one device or on all at once."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.forms import Form, repeated

_SHORT, _LONG = 4e-3, 2e-2
"""Least seconds of a trial: to choose among forms, and to time the chosen one. All devices start
within about .1 ms, which a trial must not show."""

_FEW, _MANY = 3, 5
"""Trials of each."""

_CALL = 2e-4
"""Seconds of a form from which on a call from the host costs little beside it."""

_MOST = 20000
"""Most repetitions in a trial."""


class Best(NamedTuple):
    """The fastest way that was found to compute something once.

    Attributes:
      seconds: of one; if several devices or a stack compute many at once, divided by their number.
      form: how it is computed.
      devices: how many compute one each at the same time.
      copies: how many could.
      loop: whether in a loop; otherwise each time by a call from the host.
      program: compiled.
    """

    seconds: float
    form: Form
    devices: int
    copies: int
    loop: bool
    program: Callable[..., Any]


def fastest(forms: Sequence[Form], copies: int) -> Best:
    """Times forms of the same, shortly.

    Args:
      forms: the forms.
      copies: devices; a form also runs on all of them at once, one copy each.

    Returns:
      The fastest.
    """
    return min((_screened(form, copies) for form in forms), key=lambda best: best.seconds)


def again(best: Best) -> Best:
    """Times the fastest form for longer.

    Args:
      best: what was found.

    Returns:
      The same with its least seconds so far.
    """
    placed = _placed(best.form, best.copies)
    calls = _calls(best.seconds * best.devices * best.form.stack, _LONG)
    longer = _on_devices(best.form, best.program, placed, calls, loop=best.loop, trials=_MANY)
    return min(best, longer, key=lambda found: found.seconds)


def _screened(form: Form, copies: int) -> Best:
    """Compiles a form and finds out how it runs best."""
    placed = _placed(form, copies)
    program = jax.jit(functools.partial(repeated, form))
    found = _timed(form, program, placed, loop=True)
    # A loop may copy what a call does not, or leave a fast path of the compiler.
    if not form.in_place and found.seconds * form.stack > _CALL:
        direct = _timed(form, jax.jit(form.function), placed, loop=False)
        found = min(found, direct, key=lambda best: best.seconds)
    return found


def _timed(
    form: Form, program: Callable[..., Any], placed: Sequence[Sequence[Any]], *, loop: bool
) -> Best:
    """Times a program that is not compiled yet."""
    once = functools.partial(_least, program, form, loop=loop)
    once(placed, 1, trials=1)  # Compiles for every device.
    estimate = once(placed[:1], 1, trials=1) * form.stack
    # A single call costs what a loop does not: the second estimate has little of it.
    estimate = once(placed[:1], _calls(estimate, _SHORT / 4), trials=1) * form.stack
    calls = _calls(estimate, _SHORT)
    return _on_devices(form, program, placed, calls, loop=loop, trials=_FEW)


def _on_devices(
    form: Form,
    program: Callable[..., Any],
    placed: Sequence[Sequence[Any]],
    calls: int,
    *,
    loop: bool,
    trials: int,
) -> Best:
    """Times a program on one device and on all."""
    timed = []
    for devices in sorted({1, len(placed)}):
        own = placed[:devices]
        timed.append((_least(program, form, own, calls, loop=loop, trials=trials), devices))
    seconds, devices = min(timed)
    return Best(seconds, form, devices, len(placed), loop, program)


def _calls(seconds: float, least: float) -> int:
    """Returns how many calls of so many seconds take at least so long."""
    return int(np.clip(math.ceil(least / seconds), 1, _MOST))


def _placed(form: Form, copies: int) -> list[list[Any]]:
    """Places arrays of normal numbers on devices; they repeat after a few thousand."""
    numbers = np.random.default_rng(0).standard_normal(4096)
    arrays = [np.resize(numbers, shape).astype(form.dtype) for shape in form.shapes]
    return [
        [jax.device_put(array, device) for array in arrays] for device in jax.devices()[:copies]
    ]


def _least(
    program: Callable[..., Any],
    form: Form,
    placed: Sequence[Sequence[Any]],
    calls: int,
    *,
    loop: bool,
    trials: int,
) -> float:
    """Returns the least seconds of computing once, over trials on every placed device at once."""
    if loop:
        devices = jax.devices()
        placed = [
            [jax.device_put(np.int32(calls), device), *own]
            for device, own in zip(devices, placed, strict=False)
        ]
    seconds = []
    for _ in range(trials):
        began = time.perf_counter()
        started = [program(*own) for _ in range(1 if loop else calls) for own in placed]
        jax.block_until_ready(started)
        seconds.append(time.perf_counter() - began)
    return min(seconds) / (calls * len(placed) * form.stack)
