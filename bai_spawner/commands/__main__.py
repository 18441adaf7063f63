"""``python -m bai_spawner.commands`` is ``bai-spawner``."""

import sys

from bai_spawner.commands import main

sys.exit(main())
