"""``python -m foretune`` is ``foretune``."""

from foretune.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
