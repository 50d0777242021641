"""``python -m neighborgraph`` is the ``neighborgraph`` command."""

import sys

from neighborgraph.cli import main

if __name__ == "__main__":
    sys.exit(main())
