"""The OpenAI API over this grid: its published clients make pictures, speech and videos here.

A thin layer. What may be asked for and what it costs is decided where it always is: a request
becomes params, params become a project, and the project is watched by its log.
"""
