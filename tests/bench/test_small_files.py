"""The files of the soak: of every kind, and no two alike, so that every stage has work to do."""

from bench.small_files import small_file


def test_no_two_files_are_alike() -> None:
    files = [small_file(number) for number in range(60)]
    assert len({file.content for file in files}) == 60
    assert len({file.name for file in files}) == 60
    assert {file.name.rpartition(".")[2] for file in files} == {"txt", "docx", "pdf", "png"}
    assert sum(not file.is_readable for file in files) == 3
