"""Other systems in: released weight files and any recommender's vectors, to checkpoints."""
