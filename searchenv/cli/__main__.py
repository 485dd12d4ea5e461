"""``python -m searchenv.cli``: the same as the command ``searchenv``."""

import sys

from searchenv.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
