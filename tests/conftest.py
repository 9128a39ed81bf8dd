"""Settings for every test."""

from hypothesis import settings

# No deadline: on a busy machine a slow example says nothing about the code.
settings.register_profile("dreamgrid", deadline=None, max_examples=40, print_blob=True)
settings.load_profile("dreamgrid")
