"""The engine of a bench: a process per row, rounds in random order, a journal on disk. It imports no runtime."""
