"""`python -m stack_core` is `stack-core`."""

import sys

from stack_core.cli import main

sys.exit(main())
