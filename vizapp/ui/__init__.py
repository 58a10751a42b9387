"""The window: panels, stage, plots, theme. It holds no machine."""
