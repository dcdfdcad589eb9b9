"""`make hostile` finds its tests, and has a section for each that SECURITY.md may name."""

from __future__ import annotations

from tests.hostile.sections import SECTIONS, TESTS, section_of


def test_every_section_has_tests() -> None:
    assert [section.letter for section in SECTIONS] == list("ABCDEF")
    for section in SECTIONS:
        assert section.files(), section


def test_a_marker_says_more_than_the_folder() -> None:
    path = TESTS / "sealing" / "test_codec_server.py"
    assert section_of(path, None) == "C"
    assert section_of(path, "F") == "F"
    assert path in SECTIONS[5].files()
    assert section_of(TESTS / "unit" / "test_log.py", None) is None
