"""What memory is left: of the machine, of control groups, of a limit of the process."""

import resource
from types import SimpleNamespace

import jax
import pytest

from hasa_jax import machine


def device(platform="gpu", stats=None):
    return SimpleNamespace(platform=platform, memory_stats=lambda: stats)


def test_accelerators_know_their_limit():
    assert machine.available_bytes(device(stats={"bytes_limit": 7, "bytes_in_use": 1})) == 7
    assert machine.available_bytes(device()) is None


GROUPS = {
    "version 2": {
        "proc/self/cgroup": "0::/job/one\n",
        "sys/fs/cgroup/job/one/memory.max": "max\n",
        "sys/fs/cgroup/job/memory.max": "5000000\n",
        "sys/fs/cgroup/job/memory.stat": "anon 1000000\nfile 3000000\n",
    },
    "version 1": {
        "proc/self/cgroup": "5:cpu:/else\n4:memory:/one\n0::/\n",
        "sys/fs/cgroup/memory/one/memory.limit_in_bytes": "5000000\n",
        "sys/fs/cgroup/memory/one/memory.stat": "cache 3\nrss 5\ntotal_rss 1000000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    },
}


@pytest.mark.parametrize("version", sorted(GROUPS))
def test_hosts_have_what_is_free_of_machine_and_control_group(tmp_path, version):
    for name, text in GROUPS[version].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    file = tmp_path / "proc/meminfo"
    assert machine.available_bytes(device("cpu"), tmp_path) == 4_000_000
    file.write_text("MemTotal: 90000 kB\nMemAvailable:    8000 kB\n", encoding="utf-8")
    assert machine.available_bytes(device("cpu"), tmp_path) == 4_000_000
    file.write_text("MemAvailable:    8 kB\n", encoding="utf-8")
    assert machine.available_bytes(device("cpu"), tmp_path) == 8 * 1024


def test_a_system_that_does_not_say_has_what_is_installed(tmp_path):
    assert machine.host_bytes(tmp_path) > 2**28
    assert machine.resident_bytes(tmp_path) == 0


def test_a_limit_of_addresses_counts(tmp_path, monkeypatch):
    """As `ulimit -v` sets it."""
    monkeypatch.setattr(resource, "getrlimit", lambda what: (2**25, resource.RLIM_INFINITY))
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("Name:\tx\nVmSize:\t   1024 kB\n", "utf-8")
    assert machine.host_bytes(tmp_path) == 2**25 - 2**20
    monkeypatch.setattr(resource, "getrlimit", lambda what: (2**19, resource.RLIM_INFINITY))
    assert machine.host_bytes(tmp_path) == 0


@pytest.mark.parametrize(
    ("number", "text"),
    [(2**19, "0.5 MiB"), (2**30, "1.0 GiB"), (2**60, "1073741824 GiB"), (2**2000, "GiB")],
)
def test_bytes_of_any_size_are_readable(number, text):
    assert machine.readable(number).endswith(text)


def test_this_machine_has_memory():
    assert (machine.available_bytes(jax.devices("cpu")[0]) or 0) > 2**20
    assert machine.resident_bytes() > 2**20
