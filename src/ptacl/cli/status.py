"""Exit statuses of all commands."""

USABLE, UNREADABLE, EXCLUDED = 0, 2, 3
INTERRUPTED = 130  # as shells report Ctrl-C
