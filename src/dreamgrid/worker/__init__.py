"""The worker: dials the server, renders what it is given, uploads the results.

`worker.run_worker` is the way in. Importing this package alone loads nothing, because the engine's
child process imports it too and needs no HTTP library.
"""
