import numpy as np

from tests.support import written


def test_the_full_file_comes_before_the_small_file(tmp_path):
    read, _ = written.write("mnist_m", tmp_path, seed=1)
    (tmp_path / "mnist_m.npz").rename(tmp_path / "mnist_m_small.npz")
    small = read(tmp_path)
    _, pool = written.write("mnist_m", tmp_path)
    written.assert_equal_pools(read(tmp_path), pool)
    assert not np.array_equal(small.inputs, pool.inputs)
