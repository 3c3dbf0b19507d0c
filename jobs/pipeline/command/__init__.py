"""How a command is asked for, and its messages."""
