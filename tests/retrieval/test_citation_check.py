"""How a quote is compared with the page that it is said to stand on."""

from retrieval.citation_check import folded


def test_a_tables_row_is_found_among_its_cells_lines() -> None:
    page = "Deed\nYear\nGrant of\nland\n1215\nWhat follows."
    assert folded("| Grant of land | 1215 |") in folded(page)
    assert folded("| Grant of land | 1301 |") not in folded(page)


def test_words_cut_at_a_lines_end_are_whole() -> None:
    assert folded("the registers of the house") in folded("in the regis-\nters of the\nhouse")
