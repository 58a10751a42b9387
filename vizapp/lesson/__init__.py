"""Lessons: schema, loader, checker and player."""
