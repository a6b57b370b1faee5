#!/usr/bin/env python
"""Django's command line for Lacewing: `python manage.py help` lists the commands."""

import os
import sys

from classifier_site.environment import one_line_errors


def main() -> None:
    """Run the command given on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "classifier_site.settings")
    # NumPy would start a thread per core at import, in a process that is to fork.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from django.core.management import execute_from_command_line

    with one_line_errors():
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
