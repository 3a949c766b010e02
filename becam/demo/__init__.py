"""The whole way, from raw data to heatmaps, on a catalogue that the package draws itself."""
