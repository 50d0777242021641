"""``python -m neighborgraph.cli`` is the ``neighborgraph`` command."""

import sys

from neighborgraph.cli import main

if __name__ == "__main__":
    sys.exit(main())
