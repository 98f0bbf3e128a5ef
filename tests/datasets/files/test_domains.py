import numpy as np

from tests.support import written


def test_integers_of_any_type_and_arrays_by_columns_are_read(tmp_path):
    read, pool = written.write("pacs", tmp_path)
    np.savez(
        tmp_path / "pacs32.npz",
        x=np.asfortranarray(pool.inputs),
        y=pool.targets.astype(">i8"),
        domain=pool.groups.astype(np.int8),
        domains=pool.group_names,
        classes=pool.classes,
    )
    written.assert_equal_pools(read(tmp_path), pool)
