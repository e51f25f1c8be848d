"""Exit statuses of all commands."""

USABLE, UNREADABLE, EXCLUDED = 0, 2, 3
