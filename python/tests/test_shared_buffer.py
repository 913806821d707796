"""SharedBuffer: memory of ours that memoryviews and arrays lie in."""

import pytest

from manyhands import _core


def test_a_program_cannot_make_one() -> None:
    with pytest.raises(TypeError):
        _core.SharedBuffer()
    with pytest.raises(TypeError):
        type("Mine", (_core.SharedBuffer,), {})
