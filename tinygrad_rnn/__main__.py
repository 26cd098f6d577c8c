"""`python -m tinygrad_rnn` is the command `tinygrad-rnn`."""

import sys

from .cli import main

sys.exit(main())
