"""Many trainings: a grid from a file, its store, search and sweeps."""
