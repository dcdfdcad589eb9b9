"""Releases that meet: what a newer one writes is read by this one, or refused in words."""
