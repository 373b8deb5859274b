"""`/openai/v1`: what clients of OpenAI's API find here. Other words for files, collections, searches and
answers, and none of their own (docs/decisions/0064)."""
