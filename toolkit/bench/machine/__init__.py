"""The machine under a bench: counters, fitness, energy."""
