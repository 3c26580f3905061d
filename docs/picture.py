"""Draw ``docs/demo.svg``, the picture of the demo that README shows: ``.venv/bin/python docs/picture.py``."""

from __future__ import annotations

import io
import re
import threading
import time
from pathlib import Path

from rich.console import Console

from counterfoil.demo import DemoSettings, Session
from counterfoil.demo.screen import screen
from counterfoil.observability import configure_logs

WIDTH, HEIGHT = 128, 27
SECONDS, LOOK_AT = 20.0, 14.0


def main() -> None:
    """Run the demo, look at its screen once, and write what was seen."""
    configure_logs("warning", "console")
    session = Session(DemoSettings(SECONDS, 4000.0, 2000, 7))
    session.warm_up()
    thread = threading.Thread(target=session.run)
    thread.start()
    time.sleep(LOOK_AT)
    console = Console(record=True, width=WIDTH, height=HEIGHT, file=io.StringIO(), force_terminal=True)
    console.print(screen(session, HEIGHT, WIDTH))
    session.stopped.set()
    thread.join()
    picture = console.export_svg(title="counterfoil demo", unique_id="demo")
    # A picture in a repository loads nothing from elsewhere: the reader's own monospace font will do.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    Path(__file__).with_name("demo.svg").write_text(picture, "utf-8")


if __name__ == "__main__":
    main()
