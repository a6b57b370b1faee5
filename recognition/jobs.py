"""The jobs that a worker does: one line each, for what they do is written where it belongs.

Only this module knows the queue. Whatever a job calls may be called again after a crash: it
looks at rows first and does what is still missing.
"""
