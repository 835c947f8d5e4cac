"""This project's command: `taskflow` bound to the services, as manage.py is Django's."""

import sys
from pathlib import Path

from taskflow.cli import main

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    from services.audit.cli import audit

    main.add_command(audit)
    main(prog_name="cli.py")
