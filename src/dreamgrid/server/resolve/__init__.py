"""From what an app asks for to what an engine receives: every setting decided or refused. Pure.

One file per kind of media with the rules of its models; `request`, `prompts` and `settings` hold
what they share. Rules are made once per model, so that a request only walks through them.
"""
