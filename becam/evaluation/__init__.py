"""Heatmaps to numbers."""
