"""Downloads are kept once."""

import pytest
from keras_grow.app.served import Served

pytestmark = pytest.mark.no_backend


def test_a_download_is_there_once_and_anew_when_it_changes(tmp_path):
    served = Served()
    source = tmp_path / "growth.safetensors"
    source.write_bytes(b"one")
    first = served.file(source)
    assert served.file(source) == first
    source.unlink()
    source.write_bytes(b"other")
    second = served.file(source)
    assert second != first
    with open(second, "rb") as file:
        assert file.read() == b"other"
    assert served.text("a.csv", "1") == served.text("a.csv", "1")
    assert served.text("a.csv", "2") != served.text("a.csv", "1")
