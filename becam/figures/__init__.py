"""Numbers and maps to pictures."""
