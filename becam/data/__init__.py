"""Raw data to a dataset folder, and reading it: sources, filters, split, features."""
