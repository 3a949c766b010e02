"""Many explained items side by side: pages, contact sheets, exports."""
