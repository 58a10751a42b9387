"""The published ports: Barham et al., Table 2."""

import pytest

from vizapp.errors import DataError
from vizapp.guest.published_ports import published_ports

PORT = """ports:
  - name: a system
    lines: {drivers: 5, rest: 6}
    total: 12
    share: 0.01
    source: somewhere
"""


def test_the_table_is_the_papers():
    linux, windows = published_ports()
    assert (linux.total, linux.share) == (2995, 0.0136)
    assert (windows.total, windows.share) == (4620, 0.0004)


def test_parts_that_do_not_make_the_total_are_named_with_their_line(tmp_path):
    file = tmp_path / "porting.yaml"
    file.write_text(PORT)
    with pytest.raises(DataError) as error:
        published_ports(file)
    assert "porting.yaml:4:" in str(error.value)
    assert "11" in str(error.value)
