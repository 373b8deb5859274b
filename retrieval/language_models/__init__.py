"""The way to language models: servers that speak OpenAI's chat completions, asked one after the other.

`model` is one of them, `completion` a single request, `breaker` what keeps away from one that fails,
`gateway` asks in order, `budget` reserves and settles what that costs, `prompting` makes the request's
words, `tokens` estimates their number.
"""
