"""How good searches and answers are, by sets of questions."""
