"""The explorer: pictures, items and users to heatmaps, in a browser on this machine."""
