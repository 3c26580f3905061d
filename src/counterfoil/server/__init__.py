"""The HTTP interface and the console: empty until they arrive, over the same calls as the command line."""
